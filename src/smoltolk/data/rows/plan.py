"""Which pieces of a corpus become documents, and which documents share a row.

Both are decided once, at the start, from lengths alone. First every utterance that is longer than a row is
cut into pieces that fit, at the ends of sentences where there are any; the pieces tile it. Then pieces that
a seed has put in some order are laid into rows, each row taking pieces until less than a minimum of room is
left. An epoch visits each row of the plan once, and so each piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Piece, Task
from smoltolk.data.rows.packing import cut, fill_rows

_CHUNK = 200_000  # utterances whose numbers are in memory as they are being worked on


@dataclass(frozen=True, slots=True)
class _Cost:
    """Ids of a document: for each unit, token and word, and the fixed ones (start, end, prompt marks)."""

    unit: float
    token: float
    word: float
    fixed: int
    needs: str


def _cost(task: Task, spans: SpanLengths, tail: int) -> _Cost:
    if task is Task.SPEECH:
        return _Cost(1, 0, 0, 2 + tail, "units")
    if task is Task.TEXT:
        return _Cost(0, 1, 0, 2, "text")
    if task is Task.INTERLEAVED:
        # What is expected: a share of the words is spoken, there is a switch after each run, and one of two has a tail.
        share, words_of_two_runs = spans.speech_share, (sum(spans.text) + sum(spans.speech)) / 2
        return _Cost(share, 1 - share, (2 + tail) / words_of_two_runs, 2, "words")
    return _Cost(1, 1, 0, (6 if task is Task.RECOGNITION else 5) + tail, "units and text")


@dataclass(frozen=True)
class Plan:
    """Pieces, and the rows that own them.

    With ten million utterances each array over the pieces takes 40 MB in every stream of a mixture. So a piece that is
    a whole utterance, as most are, is its number alone.

    Attributes:
        corpus: whose utterances the pieces are parts of.
        in_units: whether they are counted in units; else in words.
        utterance: int32 ``[P]``, of each piece.
        cut: int32 ``[C]``, in order, the pieces that are not whole utterances.
        cut_start, cut_stop: int32 ``[C]``, which part they are.
        lengths: ``[P]`` ids of each piece's document; for interleaved ones, what is expected.
        rows: int64 ``[R + 1]``; row r owns the pieces ``rows[r] .. rows[r + 1]``.
        num_left_out: utterances of which the task uses nothing: without words, text or units, or longer
            than a row where they cannot be cut.
    """

    corpus: AlignedCorpus
    in_units: bool
    utterance: np.ndarray
    cut: np.ndarray
    cut_start: np.ndarray
    cut_stop: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    num_left_out: int

    @property
    def num_pieces(self) -> int:
        """P."""
        return len(self.utterance)

    @property
    def num_rows(self) -> int:
        """R, the rows of one epoch."""
        return len(self.rows) - 1

    @property
    def used(self) -> np.ndarray:
        """int32 ``[n]``: the utterances of the pieces, in order."""
        return np.unique(self.utterance)

    def piece(self, number: int) -> Piece:
        """One piece."""
        utterance = int(self.utterance[number])
        if len(self.cut):
            place = int(np.searchsorted(self.cut, number))
            if place < len(self.cut) and self.cut[place] == number:
                return Piece(utterance, int(self.cut_start[place]), int(self.cut_stop[place]))
        whole = int(self.corpus.num_units[utterance]) if self.in_units else self.corpus.num_words(utterance)
        return Piece(utterance, 0, whole)

    def row(self, number: int) -> list[Piece]:
        """The pieces of one row."""
        return [self.piece(place) for place in range(self.rows[number], self.rows[number + 1])]


def plan_rows(
    task: Task,
    corpus: AlignedCorpus,
    *,
    row_length: int,
    minimum: int,
    spans: SpanLengths,
    seed: int,
    prompted_length: int | None = None,
    tail: int = 0,
) -> Plan:
    """Lay a corpus out in rows.

    Args:
        task: what the documents are for.
        corpus: whose utterances.
        row_length: T ids.
        minimum: a document is not begun where fewer ids are left.
        spans: lengths of the runs of interleaved documents.
        seed: of the order in which pieces share rows.
        prompted_length: most ids of a recognition or synthesis document; None: ``row_length``.
        tail: positions that a run of speech needs behind its last unit, for the delay of several codebooks.

    Raises:
        InputError: the corpus has nothing for this task.
    """
    cost = _cost(task, spans, tail)
    longest = row_length
    if prompted_length is not None and task in (Task.RECOGNITION, Task.SYNTHESIS):
        longest = min(prompted_length, row_length)
    # Whole utterances first, in columns of the full length from the start: many small arrays would leave as much again
    # in holes.
    whole, count = np.empty(len(corpus), np.int32), 0
    whole_lengths = np.empty(len(corpus), np.min_scalar_type(longest))
    used, long = np.zeros(len(corpus), bool), []
    for first in range(0, len(corpus), _CHUNK):
        short, short_lengths, cut_up = _pieces(task, corpus, first, min(first + _CHUNK, len(corpus)), longest, cost)
        whole[count : count + len(short)], whole_lengths[count : count + len(short)] = short, short_lengths
        used[short] = True
        count += len(short)
        long += cut_up
    parts = np.concatenate([np.zeros((4, 0), np.int32), *long], axis=1)
    if task in (Task.RECOGNITION, Task.SYNTHESIS):
        # Cut off, they would lose the very side that is asked for.
        parts = parts[:, parts[3] <= row_length]
    num_pieces = count + parts.shape[1]
    if num_pieces == 0:
        raise InputError(
            f"the task {task} needs utterances with {cost.needs} that fit a row of {row_length} ids",
            f"none among {len(corpus)} utterances",
            "give longer rows or another corpus, or leave out this task (--mixture, --stage1-mixture)",
        )
    order = np.arange(num_pieces, dtype=np.int32)
    generator(seed, "pieces").shuffle(order)
    used[parts[0]] = True
    cut = np.flatnonzero(order >= count).astype(np.int32)
    which = order[cut] - count
    utterance = _gather(whole[:count], parts[0], order)
    del whole
    lengths = _gather(whole_lengths[:count], parts[3], order)
    del whole_lengths, order
    return Plan(
        corpus=corpus,
        in_units=task is Task.SPEECH,
        utterance=utterance,
        cut=cut,
        cut_start=parts[1, which],
        cut_stop=parts[2, which],
        lengths=lengths.astype(np.min_scalar_type(int(lengths.max()))),
        rows=fill_rows(lengths, row_length, minimum),
        num_left_out=len(corpus) - int(used.sum()),
    )


def _gather(whole: np.ndarray, parts: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Both end to end, in an order; a chunk at a time, because numpy makes 64-bit numbers of those it indexes by."""
    every = np.concatenate([whole, parts]) if len(parts) else whole
    gathered = np.empty_like(every)
    for first in range(0, len(order), _CHUNK):
        gathered[first : first + _CHUNK] = every[order[first : first + _CHUNK]]
    return gathered


def _pieces(
    task: Task, corpus: AlignedCorpus, first: int, last: int, longest: int, cost: _Cost
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Of the utterances ``first .. last`` those that fit, with their lengths, and the pieces of those that do not.

    Returns:
        int64 ``[n]`` twice; int32 ``[4, n]`` each: utterance, start, stop, length.
    """
    num_units, num_tokens = corpus.num_units[first:last], corpus.num_tokens[first:last]
    num_words = np.diff(corpus.word_offsets[first : last + 1])
    usable = _usable(task, num_units, num_tokens, corpus.has_words[first:last])
    size = np.ceil(cost.unit * num_units + cost.token * num_tokens + cost.word * num_words) + cost.fixed
    short = np.flatnonzero(usable & (size <= longest))
    long = (np.flatnonzero(usable & (size > longest)) + first).tolist()
    return (
        short + first,
        size[short].astype(np.int64),
        [_cut_utterance(task, corpus, index, longest, cost) for index in long],
    )


def _usable(task: Task, num_units: np.ndarray, num_tokens: np.ndarray, has_words: np.ndarray) -> np.ndarray:
    usable = np.ones(len(num_units), bool)
    if task in (Task.TEXT, Task.RECOGNITION, Task.SYNTHESIS):
        usable &= num_tokens > 0
    if task in (Task.SPEECH, Task.RECOGNITION, Task.SYNTHESIS):
        usable &= num_units > 0
    if task is Task.INTERLEAVED:
        usable &= has_words & (num_tokens + num_units > 0)
    return usable


def _cut_utterance(task: Task, corpus: AlignedCorpus, utterance: int, row_length: int, cost: _Cost) -> np.ndarray:
    """The pieces of an utterance longer than a row: int32 ``[4, pieces]``, (utterance, start, stop, length)."""
    words = slice(corpus.word_offsets[utterance], corpus.word_offsets[utterance + 1])
    closes, unit_stops = corpus.closes_sentence[words], corpus.unit_stops[words]
    tokens = np.diff(corpus.token_stops[words], prepend=0)
    units = np.diff(unit_stops, prepend=0)
    if task is Task.SPEECH:
        # Speech can be cut anywhere, also where words are not known.
        good = np.zeros(corpus.num_units[utterance], bool)
        good[unit_stops[closes & (unit_stops > 0)] - 1] = True
        costs = np.ones(len(good))
        spoken = written = costs
    else:
        good, costs = closes, cost.unit * units + cost.token * tokens + cost.word
        spoken, written = units, tokens
    borders = cut(costs, good, row_length - cost.fixed)
    # A word without units or tokens that stands alone can leave a side of its piece empty.
    has_units, has_tokens = (np.add.reduceat(side, borders[:-1]) > 0 for side in (spoken, written))
    if task is Task.INTERLEAVED:
        keep = has_units | has_tokens
    else:
        keep = (has_units | (cost.unit == 0)) & (has_tokens | (cost.token == 0))
    lengths = np.ceil(np.add.reduceat(costs, borders[:-1])) + cost.fixed
    table = np.stack([np.full(len(keep), utterance), borders[:-1], borders[1:], lengths])
    return table[:, keep].astype(np.int32)
