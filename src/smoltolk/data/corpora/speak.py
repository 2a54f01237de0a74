"""Texts -> a spoken corpus on disk, part after part; a second run continues where the first stopped."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, remove_leftovers, write_jsonl
from smoltolk.common.lock import hold
from smoltolk.common.progress import bar
from smoltolk.common.stopping import check
from smoltolk.common.workers import parallel_map
from smoltolk.data.corpora.corpus import (
    CorpusInfo,
    Counts,
    digest_of,
    finished,
    part_path,
    read_counts,
    read_rejected,
    write_part,
)
from smoltolk.data.corpora.mending import claim
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.audio import save
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer
from smoltolk.speech.synthesis.spoken import NamedVoice, Synthesizer

UTTERANCES_PER_PART = 50
_synthesizers: list[Synthesizer[Any]] = []  # the one of this worker process


@dataclass(frozen=True)
class _Job:
    directory: Path
    texts: tuple[tuple[str, str, NamedVoice], ...]
    source: str
    language: str


def speak(
    texts: Sequence[tuple[str, str, NamedVoice]],
    out_dir: Path | str,
    *,
    source: str,
    synthesizer: Synthesizer[Any] | None = None,
    workers: int | None = None,
    language: str = "en",
    utterances_per_part: int = UTTERANCES_PER_PART,
) -> Counts:
    """Speak texts into a corpus of flac files (16 kHz) with the times of words, and of phones if they are known.

    The result does not depend on the number of workers. Parts already in place are not spoken again; texts
    that the synthesizer refuses go to ``rejected.jsonl`` with its reason.

    Args:
        texts: ``(id, text, voice)``; ids become file names, voices are the synthesizer's.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        source: name of the corpus, kept with each utterance.
        synthesizer: who speaks; default: espeak-ng.
        workers: processes, 0 for this one; None for as many as suit the synthesizer.
        utterances_per_part: how many are written, and lost to a kill, together.

    Returns:
        Counts over the whole corpus, earlier runs included.

    Raises:
        InputError: ids that cannot be file names or occur twice, or ``out_dir`` holds another corpus or is written by
            another process.
        MissingExtraError: the synthesizer is not installed.
        WorkerError: a worker was killed; the same call continues.
        OSError: the disk is full; nothing half-written is left.
    """
    out_dir = Path(out_dir)
    _check_ids([name for name, _, _ in texts])
    parts = [texts[k : k + utterances_per_part] for k in range(0, len(texts), utterances_per_part)]
    synthesizer = synthesizer or EspeakSynthesizer()
    wanted = ((name, text, *dataclasses.astuple(voice)) for name, text, voice in texts)  # type: ignore[call-overload]
    head: tuple[str | int, ...] = (source, language, utterances_per_part)
    if synthesizer.name != EspeakSynthesizer.name:  # corpora that were begun before there were others go on
        head += (synthesizer.name,)
    with hold(out_dir):
        claim(out_dir, CorpusInfo(source, digest_of(itertools.chain([head], wanted)), len(parts), len(texts)))
        remove_leftovers(out_dir / "parts")
        todo = [k for k in range(len(parts)) if not finished(out_dir, k)]
        jobs = [_Job(part_path(out_dir, k), tuple(parts[k]), source, language) for k in todo]
        with bar(f"speak {out_dir.name}", sum(len(job.texts) for job in jobs), "utterances") as progress:
            workers = synthesizer.workers if workers is None else workers
            done = parallel_map(_speak_part, jobs, workers=workers, initializer=_install, initargs=(synthesizer,))
            for counts in done:
                progress.advance(counts.num_utterances + counts.num_rejected)
        return gather_rejected(out_dir, len(parts))


def gather_rejected(corpus: Path, num_parts: int) -> Counts:
    """Write ``rejected.jsonl`` of a finished corpus from its parts, and add up their counts."""
    write_jsonl(corpus / "rejected.jsonl", itertools.chain(*(read_rejected(corpus, k) for k in range(num_parts))))
    return sum((read_counts(corpus, k) for k in range(num_parts)), Counts())


def _install(synthesizer: Synthesizer[Any]) -> None:
    _synthesizers[:] = [synthesizer]


def _speak_part(job: _Job) -> Counts:
    synthesizer = _synthesizers[0]
    utterances, rejected = [], []
    with atomic_directory(job.directory) as directory:
        for name, text, voice in job.texts:
            check()
            try:
                spoken = synthesizer.speak(text, voice)
            except InputError as error:
                rejected.append({"id": name, "reason": str(error)})
                continue
            audio = directory / f"{name}.flac"
            save(audio, spoken.waveform, spoken.sample_rate)
            utterances.append(
                Utterance(
                    id=name,
                    text=text,
                    audio=audio,
                    seconds=len(spoken.waveform) / spoken.sample_rate,
                    words=spoken.words,
                    phones=spoken.phones,
                    speaker=voice.name,
                    language=job.language,
                    source=job.source,
                )
            )
        return write_part(directory, utterances, rejected)


def _check_ids(ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
            raise InputError(
                "an id is a file name of letters, digits, '_', '.' and '-'",
                repr(name),
                "rename this utterance",
            )
        if name in seen:
            raise InputError("every utterance needs an id of its own", f"{name!r} twice", "number them")
        seen.add(name)
