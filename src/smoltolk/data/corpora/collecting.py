"""Recordings with what is said in them -> a corpus, part after part, in worker processes.

Where the recordings come from (a folder, manifests, another corpus) is the items' affair; here their words get times,
long ones are cut, the sound is written, and what cannot be used is rejected with its reason. A second run continues
where the first stopped.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError, SmolTolkError
from smoltolk.common.files import atomic_directory, remove_leftovers
from smoltolk.common.progress import bar
from smoltolk.common.workers import parallel_map
from smoltolk.data.corpora.corpus import CorpusInfo, Counts, claim, digest_of, finished, part_path, write_part
from smoltolk.data.corpora.cutting import Stretch, cut_at_pauses, shifted
from smoltolk.data.corpora.making import Item, Making
from smoltolk.data.corpora.speak import gather_rejected
from smoltolk.data.corpora.timing import OFFLINE, check_alignment
from smoltolk.data.corpora.utterances import Utterance, problem_with_times
from smoltolk.data.corpora.word_files import Said
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, save
from smoltolk.speech.segments import Segment

_BATCH_SECONDS = 300.0  # of speech in memory, 20 MB, or one longer recording


@dataclass(frozen=True)
class _Job:
    directory: Path
    items: tuple[Item, ...]
    making: Making


@dataclass(frozen=True)
class _Piece:
    """Words, phones and confidences of a recording, or of a stretch of one."""

    words: tuple[Segment, ...]
    phones: tuple[Segment, ...]
    confidences: tuple[float, ...]
    aligned: bool  # found here, and still to be judged


@dataclass
class _Heard:
    """An item that was read, and what is known of it so far."""

    item: Item
    said: Said = field(default_factory=lambda: Said(""))
    waveform: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    piece: _Piece | None = None
    problem: str = ""


def make_corpus(items: Iterable[Item], out_dir: Path, making: Making, *, workers: int | None = None) -> Counts:
    """Make a corpus; what cannot be used goes to ``rejected.jsonl`` with its reason.

    The result does not depend on the number of workers.

    Args:
        items: read twice, in the same order each time; a part of them is in memory at once.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        making: how.
        workers: processes; 0: this one. None: one per processor, but for aligners that are models: these use all
            processors, or a GPU, in this process.

    Returns:
        Counts over the whole corpus, earlier runs included.

    Raises:
        InputError: no items, ``out_dir`` holds another corpus, or no recording could be used.
        MissingExtraError: the aligner is not installed.
        WorkerError: a worker was killed; the same call continues.
        OSError: the disk is full; nothing half-written is left.
    """
    count = 0

    def identities() -> Iterator[tuple[str | int | float, ...]]:
        nonlocal count
        for item in items:
            count += 1
            yield item.identity()

    # What is wrong with the aligner shows here, before the work begins.
    digest = digest_of(itertools.chain([making.identity()], identities()))
    if workers is None and making.aligner not in (None, OFFLINE):
        workers = 0
    num_parts = -(-count // making.per_part)
    claim(out_dir, CorpusInfo(making.source, digest, num_parts, count))
    remove_leftovers(out_dir / "parts")
    done_before = sum(
        min(making.per_part, count - k * making.per_part) for k in range(num_parts) if finished(out_dir, k)
    )
    with bar(f"corpus {out_dir.name}", count - done_before, "recordings") as progress:
        for done in parallel_map(_make_part, _jobs(items, out_dir, making), workers=workers):
            progress.advance(done)
    counts = gather_rejected(out_dir, num_parts)
    if not counts.num_utterances:
        raise InputError(
            "some recordings of a corpus must be usable",
            f"all {counts.num_rejected} were rejected",
            f"see {out_dir / 'rejected.jsonl'}, then delete {out_dir} and run it again",
        )
    return counts


def _jobs(items: Iterable[Item], out_dir: Path, making: Making) -> Iterator[_Job]:
    remaining = iter(items)
    for part in itertools.count():
        batch = tuple(itertools.islice(remaining, making.per_part))
        if not batch:
            return
        if not finished(out_dir, part):
            yield _Job(part_path(out_dir, part), batch, making)


def _make_part(job: _Job) -> int:
    utterances: list[Utterance] = []
    rejected: list[dict[str, str]] = []
    with atomic_directory(job.directory) as directory:
        for batch in _batches(job.items):
            for one in _aligned(batch, job.making):
                for name, made in _utterances(one, job.making, directory):
                    if isinstance(made, Utterance):
                        utterances.append(made)
                    else:
                        rejected.append({"id": name, "audio": one.item.place, "reason": made})
        write_part(directory, utterances, rejected)
    return len(job.items)


def _batches(items: Sequence[Item]) -> Iterator[list[_Heard]]:
    """Recordings in memory together, as many as are aligned at a time."""
    batch: list[_Heard] = []
    seconds = 0.0
    for item in items:
        try:
            one = _Heard(item, item.said(), item.sound())
            seconds += len(one.waveform) / SAMPLE_RATE
        except (SmolTolkError, OSError, MemoryError) as error:  # only reading can fail here
            one = _Heard(item, problem=str(error) or type(error).__name__)
        batch.append(one)
        if seconds > _BATCH_SECONDS:
            yield batch
            batch, seconds = [], 0.0
    if batch:
        yield batch


def _aligned(batch: list[_Heard], making: Making) -> list[_Heard]:
    """The same with words, where there is an aligner to find those that have none."""
    wanted = [one for one in batch if not one.problem and not one.said.words]
    aligner = making.get_aligner()
    if aligner is None or not wanted:
        return batch
    found = aligner.align_batch([one.waveform for one in wanted], [one.said.text for one in wanted])
    for one, alignment in zip(wanted, found, strict=True):
        if isinstance(alignment, InputError):
            one.problem = str(alignment)
        else:
            one.piece = _Piece(alignment.words, alignment.phones, alignment.confidences, aligned=True)
    return batch


def _utterances(one: _Heard, making: Making, directory: Path) -> Iterator[tuple[str, Utterance | str]]:
    """The utterances that a recording becomes, or why it, or a piece of it, becomes none."""
    item, waveform = one.item, one.waveform
    try:
        if one.problem:
            yield item.id, one.problem
            return
        piece = one.piece or _given(one)
        stretches = _stretches(piece, len(waveform) / SAMPLE_RATE, making)
        if not stretches:
            utterance = _utterance(item, item.id, one.said.text, waveform, piece, making)
            yield item.id, _with_sound(utterance, waveform, item.original, making, directory)
            return
    except (InputError, MemoryError) as error:
        yield item.id, str(error) or type(error).__name__
        return
    for number, stretch in enumerate(stretches):
        name = f"{item.id}+{number:04d}"  # no name of a recording has a plus
        try:
            part = waveform[num_samples(stretch.start) : num_samples(stretch.end)]
            own = _cut(piece, stretch)
            utterance = _utterance(item, name, " ".join(word.text for word in own.words), part, own, making)
            if making.longest is not None and utterance.seconds > making.longest + 1 / SAMPLE_RATE:
                raise InputError(
                    f"an utterance lasts {making.longest:g} s at most",
                    f"{own.words[0].text!r} alone lasts {utterance.seconds:.1f} s",
                    "listen whether the recording says its text there",
                )
            yield name, _with_sound(utterance, part, None, making, directory)
        except InputError as error:
            yield name, str(error)


def _given(one: _Heard) -> _Piece:
    """Words that came with the recording, or none."""
    problem = problem_with_times(one.said.words, len(one.waveform) / SAMPLE_RATE)
    if problem is not None:
        raise InputError("words lie within their recording, in order", problem, "correct their times")
    return _Piece(one.said.words, (), one.said.confidences, aligned=False)


def _stretches(piece: _Piece, seconds: float, making: Making) -> list[Stretch]:
    if making.longest is None or seconds <= making.longest:
        return []
    if not piece.words:
        raise InputError(
            f"a recording longer than {making.longest:g} s is cut between its words",
            f"{seconds:.1f} s, and no times of words",
            "align it, or allow longer ones",
        )
    return cut_at_pauses(piece.words, seconds, making.longest)


def _cut(piece: _Piece, stretch: Stretch) -> _Piece:
    start, end = stretch.start, stretch.end
    own = slice(stretch.first, stretch.stop)
    words = tuple(
        Segment(word.text, min(max(word.start, start), end) - start, min(max(word.end, start), end) - start)
        for word in piece.words[own]
    )
    return _Piece(words, shifted(piece.phones, start, end), piece.confidences[own], piece.aligned)


def _utterance(item: Item, name: str, text: str, waveform: np.ndarray, piece: _Piece, making: Making) -> Utterance:
    if piece.aligned:
        check_alignment(waveform, piece.words, piece.confidences, making.get_limits())
    return Utterance(
        id=name,
        text=text,
        audio=None,
        seconds=len(waveform) / SAMPLE_RATE,
        words=piece.words,
        phones=piece.phones,
        confidences=piece.confidences,
        **{"language": making.language, "source": making.source, **item.names},
    )


def _with_sound(
    utterance: Utterance, waveform: np.ndarray, original: Path | None, making: Making, directory: Path
) -> Utterance:
    """Write the sound of an utterance beside the others of its part."""
    if original is None or making.sound == "flac":
        audio = directory / f"{utterance.id}.flac"
        save(audio, waveform)
    else:
        audio = directory / f"{utterance.id}{original.suffix.lower()}"
        if making.sound == "symlink":
            audio.symlink_to(original.resolve())
        else:
            try:
                os.link(original.resolve(), audio)
            except OSError:  # another file system, or one without links
                shutil.copyfile(original, audio)
    return replace(utterance, audio=audio)
