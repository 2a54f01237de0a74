"""Recordings with what is said in them -> a corpus, part after part, in worker processes.

Where the recordings come from (a folder, manifests, another corpus) is the items' affair; here their words get times,
long ones are cut, the sound is written, and what cannot be used is rejected with its reason. A second run continues
where the first stopped, or makes what has changed since then.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, SmolTolkError
from smoltolk.common.files import atomic_directory, remove_leftovers, write_json
from smoltolk.common.lock import hold
from smoltolk.common.progress import Bar, ProgressFile, Reached, ReportBar, bar
from smoltolk.common.workers import parallel_map
from smoltolk.data.corpora.corpus import ITEMS, CorpusInfo, Counts, digest_of, finished, part_path, write_rows
from smoltolk.data.corpora.cutting import Stretch, cut_at_pauses, shifted
from smoltolk.data.corpora.making import Item, Making
from smoltolk.data.corpora.mending import Rows, claim, forget, known_items, take_over
from smoltolk.data.corpora.part_progress import PartsProgress
from smoltolk.data.corpora.said import Said
from smoltolk.data.corpora.speak import gather_rejected
from smoltolk.data.corpora.timing import OFFLINE, check_alignment, check_pace
from smoltolk.data.corpora.utterances import Utterance, problem_with_times, to_row
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, save
from smoltolk.speech.segments import Segment

_BATCH_SECONDS = 300.0  # of speech in memory, 20 MB, or one longer recording
_LONG_SECONDS = 60.0  # of them take long enough to tell how many are aligned


@dataclass(frozen=True)
class _Job:
    directory: Path
    items: tuple[Item, ...]
    making: Making
    part: int
    progress: Path  # the file in which it tells how far it is
    known: dict[str, Path] = field(default_factory=dict)  # id -> the old part that has it


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


def make_corpus(
    items: Iterable[Item], out_dir: Path, making: Making, *, place: Path | str = "", workers: int | None = None
) -> Counts:
    """Make a corpus; what cannot be used goes to ``rejected.jsonl`` with its reason.

    The result does not depend on the number of workers. Where ``out_dir`` holds what was made of the same place in the
    same way, only items that changed since then are made anew.

    Args:
        items: read twice, in the same order each time; a part of them is in memory at once.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill, or filled.
        making: how.
        place: that the items come from.
        workers: processes; 0: this one. None: one per processor, but for aligners that are models: these use all
            processors, or a GPU, in this process.

    Returns:
        Counts over the whole corpus, earlier runs included.

    Raises:
        InputError: no items, ``out_dir`` holds another corpus or is written by another process, or no recording could
            be used.
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
    settings = digest_of([making.identity(), [str(Path(place).resolve())]])
    if workers is None and making.aligner not in (None, OFFLINE):
        workers = 0
    num_parts = -(-count // making.per_part)
    with hold(out_dir):
        claim(out_dir, CorpusInfo(making.source, digest, num_parts, count, settings=settings))
        remove_leftovers(out_dir / "parts")
        before = sum(
            min(making.per_part, count - k * making.per_part) for k in range(num_parts) if finished(out_dir, k)
        )
        known = known_items(out_dir)
        title = f"{'mend' if known else 'corpus'} {out_dir.name}"
        with bar(title, count - before, "recordings") as shown, PartsProgress(shown) as progress:
            jobs = _jobs(items, out_dir, making, known, progress)
            for part, done in parallel_map(_make_part, jobs, workers=workers):
                progress.complete(part, done)
        counts = gather_rejected(out_dir, num_parts)
        forget(out_dir)
    if not counts.num_utterances:
        raise InputError(
            "some recordings of a corpus must be usable",
            f"all {counts.num_rejected} were rejected",
            f"see {out_dir / 'rejected.jsonl'}, mend them and run it again",
        )
    return counts


def _jobs(
    items: Iterable[Item], out_dir: Path, making: Making, known: dict[str, Path], progress: PartsProgress
) -> Iterator[_Job]:
    remaining = iter(items)
    for part in itertools.count():
        batch = tuple(itertools.islice(remaining, making.per_part))
        if not batch:
            return
        if not finished(out_dir, part):
            digests = {item.id: digest_of([item.identity()]) for item in batch} if known else {}
            old = {name: known[digest] for name, digest in digests.items() if digest in known}
            yield _Job(part_path(out_dir, part), batch, making, part, progress.file(part), old)


def _make_part(job: _Job) -> tuple[int, int]:
    """Number of the part, and of its items."""
    with atomic_directory(job.directory) as directory:
        # Before they are read: what changes later is found by the next run.
        digests = {item.id: digest_of([item.identity()]) for item in job.items}
        taken = {item.id: take_over(job.known[item.id], item, directory) for item in job.items if item.id in job.known}
        left = [item for item in job.items if not taken.get(item.id)]
        report = ReportBar(ProgressFile(job.progress).report, len(job.items) - len(left))
        fresh = _made(left, job.making, directory, report)
        rows = [taken.get(item.id) or next(fresh) for item in job.items]
        write_json(directory / ITEMS, digests)
        write_rows(directory, [row for kept, _ in rows for row in kept], [row for _, lost in rows for row in lost])
    return job.part, len(job.items)


def _made(items: Sequence[Item], making: Making, directory: Path, progress: Bar) -> Iterator[Rows]:
    """What each item becomes: its utterances, and what was rejected of it."""
    for batch in _batches(items, making.aligner is not None):
        for one in _aligned(batch, making, progress):
            utterances: list[dict[str, Any]] = []
            rejected: list[dict[str, str]] = []
            for name, found in _utterances(one, making, directory):
                if isinstance(found, Utterance):
                    utterances.append(to_row(found, directory))
                else:
                    rejected.append({"id": name, "audio": one.item.place, "reason": found})
            yield utterances, rejected


def _batches(items: Sequence[Item], aligned: bool) -> Iterator[list[_Heard]]:
    """Recordings in memory together, as many as are aligned at a time."""
    batch: list[_Heard] = []
    seconds = 0.0
    for item in items:
        try:
            one = _read(item, aligned)
            seconds += len(one.waveform) / SAMPLE_RATE
        except (SmolTolkError, OSError, MemoryError) as error:  # only reading can fail here
            one = _Heard(item, problem=str(error) or type(error).__name__)
        except UnicodeEncodeError:  # of its path, by a library that opens files
            problem = InputError("the name of a file must be UTF-8", item.place, "rename it")
            one = _Heard(item, problem=str(problem))
        batch.append(one)
        if seconds > _BATCH_SECONDS:
            yield batch
            batch, seconds = [], 0.0
    if batch:
        yield batch


def _read(item: Item, aligned: bool) -> _Heard:
    said = item.said()
    if said.untimed and not aligned:
        raise InputError("every word needs its time, or an aligner to find it", said.untimed, "name an aligner")
    waveform = item.sound()
    check_pace(said.text, len(waveform) / SAMPLE_RATE)
    return _Heard(item, said, waveform)


def _aligned(batch: list[_Heard], making: Making, progress: Bar) -> list[_Heard]:
    """The same with words, where there is an aligner to find those that have none."""
    wanted = [one for one in batch if not one.problem and not one.said.words]
    aligner = making.get_aligner()
    progress.advance(len(batch) - len(wanted))
    if aligner is None or not wanted:
        progress.advance(len(wanted))
        return batch
    waveforms, texts = [one.waveform for one in wanted], [one.said.text for one in wanted]
    seconds = sum(map(len, waveforms)) / SAMPLE_RATE
    reached = Reached(progress)

    def report(done: float) -> None:
        note = f"{done:.0f} of {seconds:.0f} s" if seconds > _LONG_SECONDS else None
        reached(len(wanted) * done / seconds, note)

    found = aligner.align_batch(waveforms, texts, report=report)
    report(seconds)
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
        origin=item.origin,
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
