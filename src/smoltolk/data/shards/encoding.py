"""One part of a spoken corpus -> one shard: what a worker does.

Recordings are read by threads of their own while the encoder works on those before, so that the encoder, which on a
GPU is the expensive part, does not wait for files.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import write_jsonl
from smoltolk.data.corpora.corpus import read_part
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.shards.doubtful_words import LOWEST, join_doubtful
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitUtterance
from smoltolk.data.shards.parts import PartFiles
from smoltolk.speech.audio import load
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer

# What goes through the encoder together, and lies in memory twice (once being read): this many recordings or seconds,
# whichever is less. One recording alone may be longer.
BATCH_RECORDINGS, BATCH_SECONDS = 16, 600.0
_READERS = 4  # threads; decoding and resampling release Python's lock
_encoder: PartEncoder | None = None  # of this worker process

Loaded = list[tuple[Utterance, "np.ndarray | str"]]


@dataclass(frozen=True)
class PartJob:
    """Which part becomes which files.

    Attributes:
        corpus, part: what is read.
        files: what is written.
        metadata: of the units.
        word_confidence: words below it are joined to their neighbours.
    """

    corpus: Path
    part: int
    files: PartFiles
    metadata: ShardMetadata
    word_confidence: float = LOWEST


@dataclass(frozen=True, slots=True)
class PartTimes:
    """Where the time went: seconds of the whole part, seconds of them in the encoder, utterances kept."""

    num_utterances: int
    seconds: float
    encoder_seconds: float


class PartEncoder:
    """Encodes parts with one tokenizer, held in memory.

    Args:
        tokenizer: on the device where it shall compute.
    """

    def __init__(self, tokenizer: UnitTokenizer):
        self._tokenizer, self._encoder_seconds = tokenizer, 0.0

    def __call__(self, job: PartJob) -> PartTimes:
        """Write the shard of one part, whole or not at all."""
        started, self._encoder_seconds = time.perf_counter(), 0.0
        rejected: list[dict[str, str]] = []
        with ShardWriter(job.files.shard, job.metadata) as shard:
            for loaded in self._read_ahead(batches(read_part(job.corpus, job.part))):
                for utterance, result in self.encode(loaded):
                    try:
                        if isinstance(result, str):
                            rejected.append({"id": utterance.id, "reason": result})
                        else:
                            shard.add(_unit_utterance(utterance, result, job.word_confidence))
                    except InputError as error:
                        rejected.append({"id": utterance.id, "reason": str(error)})
            # Before the shard is in its place, which says that the part is finished.
            write_jsonl(job.files.rejected, rejected)
        return PartTimes(shard.num_utterances, time.perf_counter() - started, self._encoder_seconds)

    def encode(self, loaded: Loaded) -> Iterator[tuple[Utterance, Units | str]]:
        """The units of each recording, or why it has none, in order."""
        started = time.perf_counter()
        waveforms = [waveform for _, waveform in loaded if not isinstance(waveform, str)]
        encoded: list[Units | str]
        try:
            encoded = list(self._tokenizer.encode(waveforms)) if waveforms else []
        except InputError:
            encoded = [self._encode_alone(waveform) for waveform in waveforms]
        self._encoder_seconds += time.perf_counter() - started
        remaining = iter(encoded)
        for utterance, waveform in loaded:
            yield utterance, waveform if isinstance(waveform, str) else next(remaining)

    def _encode_alone(self, waveform: np.ndarray) -> Units | str:
        try:
            return self._tokenizer.encode([waveform])[0]
        except InputError as error:
            return str(error)

    def _read_ahead(self, groups: Iterator[list[Utterance]]) -> Iterator[Loaded]:
        with ThreadPoolExecutor(_READERS) as readers:
            coming: list[tuple[Utterance, Future[np.ndarray | str]]] | None = None
            for group in itertools.chain(groups, [None]):
                ready = coming
                coming = None if group is None else [(one, readers.submit(self._waveform, one)) for one in group]
                if ready is not None:
                    yield [(utterance, waveform.result()) for utterance, waveform in ready]

    def _waveform(self, utterance: Utterance) -> np.ndarray | str:
        if utterance.audio is None:
            return "it has no recording"
        try:
            return load(utterance.audio, self._tokenizer.sample_rate)
        except (InputError, NotFoundError) as error:
            return str(error)


def batches(utterances: Iterator[Utterance]) -> Iterator[list[Utterance]]:
    """Neighbours that are encoded together."""
    group: list[Utterance] = []
    seconds = 0.0
    for utterance in utterances:
        if group and (len(group) == BATCH_RECORDINGS or seconds + utterance.seconds > BATCH_SECONDS):
            yield group
            group, seconds = [], 0.0
        group.append(utterance)
        seconds += utterance.seconds
    if group:
        yield group


def start_worker(tokenizer_dir: Path, device: str | None, one_thread: bool) -> None:
    """Make this process ready for :func:`encode_part`."""
    global _encoder
    if one_thread:
        torch.set_num_threads(1)  # the processors are shared out among the workers
    tokenizer = load_unit_tokenizer(tokenizer_dir)
    if device is not None:
        tokenizer.to(device)
    _encoder = PartEncoder(tokenizer)


def encode_part(job: PartJob) -> PartTimes:
    """:class:`PartEncoder` of this process."""
    if _encoder is None:
        raise RuntimeError("the worker was not started by start_worker")
    return _encoder(job)


def _unit_utterance(utterance: Utterance, units: Units, word_confidence: float) -> UnitUtterance:
    return UnitUtterance(
        id=utterance.id,
        text=utterance.text,
        words=join_doubtful(utterance.words, utterance.confidences, word_confidence),
        units=units.units,
        durations=units.durations,
        speaker=utterance.speaker,
        language=utterance.language,
        source=utterance.source,
        seconds=utterance.seconds,
    )
