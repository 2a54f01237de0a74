"""What a row holds: the tasks, the weighted streams of a mixture, and which stream row i belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.data.rows.interleave import SpanLengths, draw_runs
from smoltolk.data.rows.plain_tokens import plain_encoding
from smoltolk.model.ids import IdSpace

BLOCK = 1000  # rows in which every stream has its exact share


class Task(StrEnum):
    """What a document asks of the model."""

    SPEECH = "speech"
    TEXT = "text"
    INTERLEAVED = "interleaved"
    RECOGNITION = "recognition"
    SYNTHESIS = "synthesis"


class TextSource:
    """Text without end: any number has its text.

    Args:
        text: pure function of a number >= 0.
        tokenizer: a transformers tokenizer.
    """

    def __init__(self, text: Callable[[int], str], tokenizer: Any):
        self._text, self._tokenizer = text, tokenizer

    def tokens(self, numbers: Sequence[int]) -> list[list[int]]:
        """Token ids of each numbered text."""
        return plain_encoding(self._tokenizer, [self._text(number) for number in numbers])["input_ids"]


@dataclass(frozen=True)
class Stream:
    """One part of a mixture: a task on a source.

    Attributes:
        task: what is made of the source.
        source: utterances, or (for text only) text without end.
        weight: share of the rows, relative to the other streams.
    """

    task: Task
    source: AlignedCorpus | TextSource
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", Task(self.task))
        if isinstance(self.source, TextSource) and self.task is not Task.TEXT:
            raise InputError(f"the task {self.task} needs speech", "a TextSource", "give it an AlignedCorpus")
        if not self.weight > 0:
            raise InputError("a stream's weight must be above 0", f"{self.weight}", "leave the stream out")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an utterance that becomes one document: units ``start .. stop`` for speech, else words."""

    utterance: int
    start: int
    stop: int


def build_document(
    task: Task,
    corpus: AlignedCorpus,
    piece: Piece,
    space: IdSpace,
    rng: np.random.Generator,
    *,
    spans: SpanLengths,
    predict_switch: bool = False,
    predict_prompt: bool = True,
) -> Document:
    """Make the document of one piece.

    Args:
        task: its form.
        corpus, piece: its content.
        space: the id space.
        rng: draws the runs of an interleaved document; the other tasks draw nothing.
        spans: lengths of those runs.
        predict_switch: whether the ``<switch>`` of an interleaved document is predicted.
        predict_prompt: whether the given side of recognition and synthesis is predicted too, its control ids
            excepted.
    """
    where = (piece.utterance, piece.start, piece.stop)
    if task is Task.SPEECH:
        return Document(space).speech(corpus.units(piece.utterance)[piece.start : piece.stop]).end()
    if task is Task.TEXT:
        return Document(space).text(corpus.fresh_tokens(*where)).end()
    if task is Task.RECOGNITION:
        prompt = recognition_prompt(space, corpus.units(*where), predict=predict_prompt)
        return prompt.text(corpus.fresh_tokens(*where)).end()
    if task is Task.SYNTHESIS:
        prompt = synthesis_prompt(space, corpus.fresh_tokens(*where), predict=predict_prompt)
        return prompt.speech(corpus.units(*where)).end()
    return interleaved(corpus, piece, space, rng, spans=spans, predict_switch=predict_switch)


def interleaved(
    corpus: AlignedCorpus,
    piece: Piece,
    space: IdSpace,
    rng: np.random.Generator,
    *,
    spans: SpanLengths,
    predict_switch: bool = False,
) -> Document:
    """Make a document whose words alternate between text and speech.

    A run that has nothing in its modality (one word too short to own a unit) is said in the other one, so
    that no word is lost; runs of one modality that come to lie side by side are one.
    """
    borders, first_is_speech = draw_runs(piece.stop - piece.start, spans, rng)
    tokens, token_cuts, units, unit_cuts = corpus.cuts(piece.utterance, borders + piece.start)
    runs: list[tuple[bool, np.ndarray]] = []
    speech = first_is_speech
    for number in range(len(borders) - 1):
        said = units[unit_cuts[number] : unit_cuts[number + 1]]
        written = tokens[token_cuts[number] : token_cuts[number + 1]]
        spoken = speech if len(said if speech else written) else not speech
        runs.append((spoken, said if spoken else written))
        speech = not speech
    return Document(space, predict_switch=predict_switch).runs(runs).end()


class Schedule:
    """Which stream row i belongs to, and which row of that stream it is: a pure function of (seed, i).

    Rows come in blocks of 1,000. In each block every stream has its share of the rows (at least one), in an
    order drawn from the seed. So a row's number within its stream needs no memory of earlier rows.

    Args:
        weights: of the streams, > 0.
        seed: of the order.
    """

    def __init__(self, weights: Sequence[float], seed: int):
        if not 1 <= len(weights) <= BLOCK:
            raise InputError(f"a mixture has 1 to {BLOCK} streams", f"{len(weights)}", "give at least one")
        shares = np.asarray(weights, np.float64) / np.sum(weights) * BLOCK
        self.counts = np.maximum(np.floor(shares).astype(np.int64), 1)
        # Largest remainders first; where "at least one" gave out too many rows, the others pay.
        while self.counts.sum() < BLOCK:
            self.counts[np.argmax(shares - self.counts)] += 1
        while self.counts.sum() > BLOCK:
            self.counts[np.argmax(np.where(self.counts > 1, self.counts - shares, -np.inf))] -= 1
        self._seed = seed
        self._drawn = -1, np.zeros(0, np.int64), np.zeros(0, np.int64)

    def __call__(self, row: int) -> tuple[int, int]:
        """``(stream, number)`` of a row >= 0."""
        block, position = divmod(row, BLOCK)
        if self._drawn[0] != block:
            self._drawn = block, *self._draw(block)
        _, streams, ranks = self._drawn
        stream = int(streams[position])
        return stream, int(block * self.counts[stream] + ranks[position])

    def _draw(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        streams = np.repeat(np.arange(len(self.counts)), self.counts)
        streams = generator(self._seed, "block", block).permutation(streams)
        ranks = np.empty(BLOCK, np.int64)
        ranks[np.argsort(streams, kind="stable")] = np.concatenate([np.arange(count) for count in self.counts])
        return streams, ranks
