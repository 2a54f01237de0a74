"""A spoken corpus -> shards of units, one for each part; a second run continues where the first stopped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json, read_jsonl, remove_leftovers, write_json, write_jsonl
from smoltolk.common.progress import bar
from smoltolk.common.workers import parallel_map
from smoltolk.data.corpora import Counts, check_complete, read_counts, read_part
from smoltolk.data.shards import ShardMetadata, ShardWriter, UnitUtterance, read_shard_metadata
from smoltolk.data.utterances import Utterance
from smoltolk.speech.audio import load
from smoltolk.speech.units import Units, UnitTokenizer, check_one_codebook, load_unit_tokenizer

# Recordings in memory at a time; tokenizers that work on batches get this many together.
_BATCH = 16
_tokenizer: UnitTokenizer | None = None  # of this worker process


@dataclass(frozen=True)
class _Job:
    corpus: Path
    part: int
    shard: Path
    rejected: Path
    metadata: ShardMetadata


def prepare(
    corpus_dir: Path | str, tokenizer_dir: Path | str, out_dir: Path | str, *, workers: int | None = None
) -> Counts:
    """Turn every recording of a corpus into units.

    Writes ``part-00000.parquet`` and so on; what cannot be read goes to ``rejected.jsonl`` with its reason.
    Finished shards are skipped on a second run; the result does not depend on the number of workers.

    Args:
        corpus_dir: as :mod:`smoltolk.data.corpora` describes.
        tokenizer_dir: a saved unit tokenizer.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        workers: processes, each with one thread; None means one per processor, 0 this one.

    Returns:
        Counts over the whole corpus, earlier runs included.

    Raises:
        NotFoundError: no corpus, no tokenizer, or parts of the corpus are missing.
        InputError: ``out_dir`` holds units of another corpus or tokenizer, or no recording could be used.
        WorkerError: a worker was killed; the same call continues.
        OSError: the disk is full; nothing half-written is left.
    """
    corpus_dir, out_dir = Path(corpus_dir), Path(out_dir)
    info = check_complete(corpus_dir)
    tokenizer = load_unit_tokenizer(tokenizer_dir)
    check_one_codebook(tokenizer, "shards hold")
    metadata = ShardMetadata(tokenizer.frame_rate, tokenizer.fingerprint, tokenizer.num_units)
    _claim(out_dir, {"corpus": info.digest, "source": info.source, "tokenizer": asdict(metadata)})
    remove_leftovers(out_dir)
    jobs = [
        _Job(
            corpus_dir,
            part,
            out_dir / f"part-{part:05d}.parquet",
            out_dir / "rejected" / f"part-{part:05d}.jsonl",
            metadata,
        )
        for part in range(info.num_parts)
    ]
    todo = [job for job in jobs if not job.shard.is_file()]
    seconds = [read_counts(corpus_dir, job.part).seconds for job in todo]
    with bar(f"units of {corpus_dir.name}", sum(seconds), "s of speech") as progress:
        done = parallel_map(
            _prepare_part,
            todo,
            workers=workers,
            initializer=_start_worker,
            initargs=(Path(tokenizer_dir), workers != 0),
        )
        for part_seconds, _ in zip(seconds, done, strict=True):
            progress.advance(part_seconds)
    rejected = list(itertools.chain(*(read_jsonl(job.rejected) for job in jobs)))
    write_jsonl(out_dir / "rejected.jsonl", rejected)
    counts = sum((_counts(job) for job in jobs), Counts(num_rejected=len(rejected)))
    if rejected and not counts.num_utterances:
        raise InputError(
            "some recordings of a corpus must be usable",
            f"all {len(rejected)} were rejected, the first because: {rejected[0]['reason']}",
            f"see {out_dir / 'rejected.jsonl'}, then delete {out_dir} and run it again",
        )
    return counts


def _claim(out_dir: Path, wanted: dict[str, object]) -> None:
    path = out_dir / "prepare.json"
    try:
        held = read_json(path)
    except NotFoundError:
        write_json(path, wanted)
        return
    if held != wanted:
        raise InputError(
            "a directory of shards belongs to one corpus and one tokenizer",
            f"{out_dir} was made with others: {held}",
            "give another directory, or delete this one",
        )


def _counts(job: _Job) -> Counts:
    if read_shard_metadata(job.shard) != job.metadata:
        raise InputError(
            "all shards of a directory must be of one tokenizer",
            f"{job.shard} is of another",
            "delete this file and run the same command again",
        )
    seconds = pq.read_table(job.shard, columns=["seconds"])["seconds"].to_numpy()
    return Counts(len(seconds), 0, float(seconds.sum()))


def _start_worker(tokenizer_dir: Path, one_thread: bool) -> None:
    global _tokenizer
    if one_thread:
        torch.set_num_threads(1)  # the processors are shared out among the workers
    _tokenizer = load_unit_tokenizer(tokenizer_dir)


def _prepare_part(job: _Job) -> int:
    rejected: list[dict[str, str]] = []
    with ShardWriter(job.shard, job.metadata) as shard:
        utterances = read_part(job.corpus, job.part)
        while batch := list(itertools.islice(utterances, _BATCH)):
            for utterance, result in _encode(batch):
                if isinstance(result, str):
                    rejected.append({"id": utterance.id, "reason": result})
                    continue
                try:
                    shard.add(_unit_utterance(utterance, result))
                except InputError as error:
                    rejected.append({"id": utterance.id, "reason": str(error)})
        # Before the shard is in its place, which says that the part is finished.
        write_jsonl(job.rejected, rejected)
    return shard.num_utterances


def _encode(batch: Sequence[Utterance]) -> Iterator[tuple[Utterance, Units | str]]:
    """The units of each recording, or why it has none, in order."""
    if _tokenizer is None:
        raise RuntimeError("the worker was not started by _start_worker")
    loaded: list[np.ndarray | str] = []
    for utterance in batch:
        try:
            if utterance.audio is None:
                loaded.append("it has no recording")
            else:
                loaded.append(load(utterance.audio, _tokenizer.sample_rate))
        except (InputError, NotFoundError) as error:
            loaded.append(str(error))
    waveforms = [waveform for waveform in loaded if not isinstance(waveform, str)]
    encoded: list[Units | str]
    try:
        encoded = list(_tokenizer.encode(waveforms))
    except InputError:
        encoded = [_encode_alone(waveform) for waveform in waveforms]
    remaining = iter(encoded)
    for utterance, waveform in zip(batch, loaded, strict=True):
        yield utterance, waveform if isinstance(waveform, str) else next(remaining)


def _encode_alone(waveform: np.ndarray) -> Units | str:
    assert _tokenizer is not None  # noqa: S101 - _encode has checked it
    try:
        return _tokenizer.encode([waveform])[0]
    except InputError as error:
        return str(error)


def _unit_utterance(utterance: Utterance, units: Units) -> UnitUtterance:
    return UnitUtterance(
        id=utterance.id,
        text=utterance.text,
        words=utterance.words,
        units=units.units,
        durations=units.durations,
        speaker=utterance.speaker,
        language=utterance.language,
        source=utterance.source,
        seconds=utterance.seconds,
    )
