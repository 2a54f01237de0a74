"""A folder of recordings, each with its text beside it -> a corpus with the times of words and phones.

::

    FOLDER/**/NAME.flac|wav|ogg|mp3    a recording
    FOLDER/**/NAME.txt                 what is said in it

Part after part, in worker processes; a second run continues where the first stopped.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import atomic_directory, remove_leftovers
from smoltolk.common.progress import bar
from smoltolk.common.workers import parallel_map
from smoltolk.data.corpora import CorpusInfo, Counts, claim, digest_of, finished, part_path, write_part
from smoltolk.data.speak import gather_rejected
from smoltolk.data.utterances import Utterance
from smoltolk.speech.alignment import PocketsphinxAligner
from smoltolk.speech.audio import SAMPLE_RATE, load, save
from smoltolk.speech.segments import Segment

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
RECORDINGS_PER_PART = 20
# Speech that says its text has -2 to -4, a text from another recording less than -5 if it can be aligned at all.
LOWEST_SCORE = -5.0
LOWEST_COVERAGE = 0.85  # of its loud parts lie inside the words: 0.97 and more where the text is complete
_aligner: PocketsphinxAligner | None = None  # of this worker process


@dataclass(frozen=True)
class Recording:
    """A file and what it will be called.

    Attributes:
        id: made of its path under the folder.
        speaker: name of the first folder under the folder, or of the folder itself.
    """

    path: Path
    id: str
    speaker: str


@dataclass(frozen=True)
class _Job:
    directory: Path
    recordings: tuple[Recording, ...]
    source: str
    language: str
    align: bool
    link: bool
    lowest_score: float


def find_recordings(folder: Path | str) -> list[Recording]:
    """All recordings in a folder and the folders in it, in order of path; hidden ones are left out.

    Raises:
        NotFoundError: no folder, or no recordings in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotFoundError("recordings lie in a folder", f"no folder {folder}", "check the path")
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = [path for path in inside if not any(part.startswith(".") for part in path.parts)]
    if not paths:
        raise NotFoundError(
            f"a folder of recordings holds files that end in {', '.join(SUFFIXES)}",
            f"none in {folder}",
            "name the right folder, or convert the files",
        )
    recordings: dict[str, Recording] = {}
    for path in paths:
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(path.with_suffix("").parts)).lstrip(".") or "_"
        number, name = 1, plain
        while name in recordings:  # "a b.wav" and "a_b.wav"
            number += 1
            name = f"{plain}-{number}"
        speaker = path.parts[0] if len(path.parts) > 1 else folder.resolve().name
        recordings[name] = Recording(folder / path, name, speaker)
    return list(recordings.values())


def collect(
    folder: Path | str,
    out_dir: Path | str,
    *,
    align: bool = True,
    link: bool = False,
    lowest_score: float = LOWEST_SCORE,
    source: str | None = None,
    language: str = "en",
    workers: int | None = None,
    recordings_per_part: int = RECORDINGS_PER_PART,
) -> Counts:
    """Make a corpus of one's own recordings.

    What cannot be used goes to ``rejected.jsonl`` with its reason: no text, no audio, or audio that does not say
    its text. The result does not depend on the number of workers.

    Args:
        folder: the recordings and their texts; stays as it is.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        align: find the times of words and phones (English only). Without them a corpus can be heard and spoken,
            but words cannot be interleaved, and phone units cannot be fitted on it.
        link: link to the recordings instead of copying them as flac of 16 kHz.
        lowest_score: alignments below it are rejected (mean nats per frame, see
            :class:`smoltolk.speech.alignment.Alignment`).
        source: name of the corpus; default: that of the folder.
        language: kept with every utterance.
        workers: processes; None means one per processor, 0 this one.
        recordings_per_part: how many are written, and lost to a kill, together.

    Returns:
        Counts over the whole corpus, earlier runs included.

    Raises:
        NotFoundError: no folder, or no recordings in it.
        InputError: ``out_dir`` holds another corpus, or no recording could be used.
        MissingExtraError: the aligner is not installed.
        WorkerError: a worker was killed; the same call continues.
        OSError: the disk is full; nothing half-written is left.
    """
    folder, out_dir = Path(folder), Path(out_dir)
    if out_dir.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "a corpus lies outside the folder it is made of", f"{out_dir} in {folder}", "give another place"
        )
    recordings = find_recordings(folder)
    source = source or folder.resolve().name
    if align:
        PocketsphinxAligner()  # a missing extra shows before the work begins
    parts = [recordings[k : k + recordings_per_part] for k in range(0, len(recordings), recordings_per_part)]
    head: tuple[str | int | float, ...] = (source, language, align, link, lowest_score, recordings_per_part)
    digest = digest_of(itertools.chain([head], (_identity(recording) for recording in recordings)))
    claim(out_dir, CorpusInfo(source, digest, len(parts), len(recordings)))
    remove_leftovers(out_dir / "parts")
    jobs = [
        _Job(part_path(out_dir, k), tuple(part), source, language, align, link, lowest_score)
        for k, part in enumerate(parts)
        if not finished(out_dir, k)
    ]
    with bar(f"corpus {out_dir.name}", sum(len(job.recordings) for job in jobs), "recordings") as progress:
        for done in parallel_map(_collect_part, jobs, workers=workers):
            progress.advance(done.num_utterances + done.num_rejected)
    counts = gather_rejected(out_dir, len(parts))
    if not counts.num_utterances:
        raise InputError(
            "some recordings of a folder must be usable",
            f"all {counts.num_rejected} were rejected",
            f"see {out_dir / 'rejected.jsonl'}, then delete {out_dir} and run it again",
        )
    return counts


def _identity(recording: Recording) -> tuple[str, int, str]:
    """What changes when a recording or its text does (content of the sound: its size)."""
    text = _text_path(recording.path)
    size = recording.path.stat().st_size if recording.path.is_file() else 0
    return recording.id, size, text.read_bytes().hex() if text.is_file() else ""


def _text_path(audio: Path) -> Path:
    return audio.with_suffix(".txt")


def _collect_part(job: _Job) -> Counts:
    utterances, rejected = [], []
    with atomic_directory(job.directory) as directory:
        for recording in job.recordings:
            try:
                utterances.append(_utterance(recording, job, directory))
            except (InputError, NotFoundError) as error:
                rejected.append({"id": recording.id, "audio": str(recording.path), "reason": str(error)})
        return write_part(directory, utterances, rejected)


def _utterance(recording: Recording, job: _Job, directory: Path) -> Utterance:
    global _aligner
    text = _read_text(_text_path(recording.path))
    waveform = load(recording.path)
    words: tuple[Segment, ...] = ()
    phones: tuple[Segment, ...] = ()
    if job.align:
        _aligner = _aligner or PocketsphinxAligner()
        found = _aligner.align(waveform, text)
        if found.score < job.lowest_score:
            worst = min((s, word) for s, word in zip(found.scores, text.split(), strict=True) if not math.isnan(s))[1]
            raise InputError(
                f"a recording must say its text: a score of {job.lowest_score:g} at least",
                f"{found.score:.2f}, worst at {worst!r}",
                "listen whether the two belong together",
            )
        if found.coverage < LOWEST_COVERAGE:
            raise InputError(
                f"the words of a text must cover {LOWEST_COVERAGE:.0%} of the loud parts of its recording at least",
                f"{found.coverage:.0%}",
                "listen whether the text is complete, or cut away what it leaves out",
            )
        words, phones = found.words, found.phones
    if job.link:
        audio = directory / (recording.id + recording.path.suffix.lower())
        audio.symlink_to(recording.path.resolve())
    else:
        audio = directory / f"{recording.id}.flac"
        save(audio, waveform)
    seconds = len(waveform) / SAMPLE_RATE
    return Utterance(recording.id, text, audio, seconds, words, phones, recording.speaker, job.language, job.source)


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise NotFoundError(
            "a recording must have its text beside it", f"no file {path.name}", "write down what is said"
        )
    try:
        text = " ".join(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} must be text in UTF-8", str(error), "save it again as UTF-8") from error
    if not text:
        raise InputError("a recording must have words in its text", f"{path.name} is empty", "write down what is said")
    return text
