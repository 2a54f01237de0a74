"""A row taken apart again: its documents, their runs, and which words, times and ids each of them has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.mixture import Piece, Task, TextSource
from smoltolk.data.rows.row_source import Row, RowSource
from smoltolk.data.shards.stored_units import StoredUnits
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IGNORE, IdSpace
from smoltolk.model.text_models.assembly import ROWS_MULTIPLE
from smoltolk.speech.segments import Segment


@dataclass(frozen=True)
class Run:
    """Neighbouring ids of one kind.

    Attributes:
        kind: ``text``, ``speech``, ``control``, ``end`` or ``padding``.
        start, stop: positions in the row.
        ids: int64 ``[stop - start]``.
        num_predicted: how many of them are labels.
        text: what is written or said; of a control id, its name.
        words: those it holds, whole or in part, with their times in the recording.
        seconds: from when to when in the recording; None where there is none.
        codes: of speech of several codebooks, int64 ``[stop - start, Q - 1]``: what the others say at each position,
            -1 where they are silent; else None.
    """

    kind: str
    start: int
    stop: int
    ids: np.ndarray
    num_predicted: int
    text: str
    words: tuple[Segment, ...] = ()
    seconds: tuple[float, float] | None = None
    codes: np.ndarray | None = None


@dataclass(frozen=True)
class DocumentView:
    """One document of a row.

    Attributes:
        utterance: its number in the corpus; -1: text without end.
        name: id of the utterance.
        piece: the part of it that the document was made of.
        owned: whether it is one of the row's own, not one that fills it up.
        runs: in order, the end included.
        words: all of the utterance.
        length: seconds of the recording, 0.0 without one.
    """

    utterance: int
    name: str
    piece: Piece
    owned: bool
    runs: tuple[Run, ...]
    words: tuple[Segment, ...]
    length: float


@dataclass(frozen=True)
class RowView:
    """One row.

    Attributes:
        index: its number.
        task: of all its documents.
        length: T.
        documents: in order.
        counts: ids of each kind.
        num_predicted, num_padding: ids.
        share: of the rows that come from this row's stream, 0 to 1.
        epoch, number: the how-manieth pass over the stream's utterances this row is in, and its place there, from 0.
        num_utterances, rows_per_epoch: of such a pass; -1: text without end.
    """

    index: int
    task: Task
    length: int
    documents: tuple[DocumentView, ...]
    counts: dict[str, int]
    num_predicted: int
    num_padding: int
    share: float
    epoch: int
    number: int
    num_utterances: int
    rows_per_epoch: int

    @property
    def runs(self) -> Iterator[Run]:
        """Of all documents."""
        return (run for document in self.documents for run in document.runs)


def view_row(source: RowSource, index: int, tokenizer: Any, shards: UnitCorpus | StoredUnits) -> RowView:
    """Take row ``index`` apart.

    Args:
        source: of the rows.
        index: >= 0.
        tokenizer: of the text ids.
        shards: what the streams' aligned corpora were made of, for names and times.
    """
    row = source.row(index)
    corpus, kinds = source.streams[row.stream].source, _kinds(row, source.space)
    stop = len(row.input_ids) - row.num_padding
    ends = np.isin(row.input_ids[:stop], [source.space.eos_text, source.space.eos_speech])
    # Only the id that begins a document is an end that is not predicted; row 0 of a stream has no document ids.
    begins = np.flatnonzero(ends & (row.labels[:stop] == IGNORE)).tolist()
    documents = []
    for number, (start, end) in enumerate(zip(begins, [*begins[1:], stop], strict=True)):
        piece = row.pieces[number]
        runs = _runs(row, kinds, start, end, source.space, tokenizer)
        if isinstance(corpus, TextSource) or piece.utterance >= len(shards) or not corpus.is_of(shards):
            found = DocumentView(-1, f"text {piece.utterance}", piece, number < row.num_owned, tuple(runs), (), 0.0)
        else:
            located = tuple(_located(runs, row.task, piece, corpus, shards, source.space))
            words, length = _words(shards, piece.utterance), float(shards.seconds[piece.utterance])
            name = shards.id(piece.utterance)
            found = DocumentView(piece.utterance, name, piece, number < row.num_owned, located, words, length)
        documents.append(found)
    values, counts = np.unique(kinds, return_counts=True)
    stream, epoch, place = source.place(index)
    plan = source.plans[stream]
    return RowView(
        index,
        row.task,
        len(row.input_ids),
        tuple(documents),
        {_KINDS[value]: int(count) for value, count in zip(values, counts, strict=True)},
        int((row.labels != IGNORE).sum()),
        row.num_padding,
        source.shares[stream],
        epoch,
        place,
        -1 if plan is None else len(plan.used),
        -1 if plan is None else plan.num_rows,
    )


_KINDS = ("text", "speech", "control", "end", "padding")


def _kinds(row: Row, space: IdSpace) -> np.ndarray:
    """Of each position, its place in ``_KINDS``."""
    kinds = (row.input_ids >= space.speech_offset).astype(np.int64)
    kinds[np.isin(row.input_ids, [space.switch, space.begin_prompt, space.end_prompt])] = 2
    kinds[np.isin(row.input_ids, [space.eos_text, space.eos_speech])] = 3
    kinds[len(kinds) - row.num_padding :] = 4
    return kinds


def _runs(row: Row, kinds: np.ndarray, start: int, stop: int, space: IdSpace, tokenizer: Any) -> list[Run]:
    names = {
        space.switch: "<switch>",
        space.begin_prompt: "<begin prompt>",
        space.end_prompt: "<end prompt>",
        space.eos_text: "<eos text>",
        space.eos_speech: "<eos speech>",
    }
    inside = kinds[start:stop]
    # A run ends where the kind changes; control and end ids are runs of their own.
    cut = np.flatnonzero((np.diff(inside) != 0) | (inside[1:] > 1)) + 1
    runs = []
    for low, high in zip([0, *cut.tolist()], [*cut.tolist(), len(inside)], strict=True):
        ids, kind = row.input_ids[start + low : start + high], _KINDS[inside[low]]
        predicted = int((row.labels[start + low : start + high] != IGNORE).sum())
        text = tokenizer.decode(ids).strip() if kind == "text" else names.get(int(ids[0]), "")
        codes = row.codes[start + low : start + high] if row.codes is not None and kind == "speech" else None
        runs.append(Run(kind, start + low, start + high, ids, predicted, text, codes=codes))
    return runs


def _located(
    runs: list[Run], task: Task, piece: Piece, corpus: AlignedCorpus, shards: UnitCorpus | StoredUnits, space: IdSpace
) -> Iterator[Run]:
    """The same runs with their words and times."""
    utterance = piece.utterance
    stops = {kind: _stops(corpus, utterance, kind) for kind in ("text", "speech")}
    frames = np.concatenate([[0], np.cumsum(shards.durations(utterance), dtype=np.int64)])
    units = corpus.units(utterance).astype(np.int64) + space.speech_offset
    ids = {"text": corpus.tokens(utterance), "speech": units if units.ndim == 1 else units[:, 0]}
    words = _words(shards, utterance)
    word = 0 if task is Task.SPEECH else piece.start
    for run in runs:
        if run.kind not in stops:
            yield run
            continue
        own = stops[run.kind]
        before = piece.start if task is Task.SPEECH else int(own[word - 1]) if word else 0
        # Behind the last frame of several codebooks stand ids for the rest of its units.
        after = before + int((run.ids != space.pad_speech).sum())
        if task is Task.SPEECH:
            word = int(np.searchsorted(own, before, side="right"))
        last = min(int(np.searchsorted(own, after)) + 1, len(own))
        following = next((other for other in runs if other.start >= run.stop and other.kind in stops), None)
        if task is Task.INTERLEAVED and following is not None:
            last = _word_after(last, int(np.searchsorted(own, after, side="right")), following, stops, ids, space)
        said = words[word:last]
        if run.kind == "speech":
            rate = shards.metadata.frame_rate
            seconds: tuple[float, float] | None = (float(frames[before] / rate), float(frames[after] / rate))
        else:
            seconds = (said[0].start, said[-1].end) if said else None
        text = run.text if run.kind == "text" else " ".join(one.text for one in said)
        yield replace(run, text=text, words=said, seconds=seconds)
        if task is Task.INTERLEAVED:
            word = last


def _word_after(
    first: int, last: int, following: Run, stops: dict[str, np.ndarray], ids: dict[str, np.ndarray], space: IdSpace
) -> int:
    """Where a run ends among words that have nothing in its modality: where the next run's ids begin."""
    wanted = following.ids[following.ids != space.pad_speech]
    for word in range(first, last + 1):
        before = int(stops[following.kind][word - 1])
        if np.array_equal(ids[following.kind][before : before + len(wanted)], wanted):
            return word
    return first


def _stops(corpus: AlignedCorpus, utterance: int, kind: str) -> np.ndarray:
    words = slice(corpus.word_offsets[utterance], corpus.word_offsets[utterance + 1])
    return (corpus.unit_stops if kind == "speech" else corpus.token_stops)[words]


def _words(shards: UnitCorpus | StoredUnits, utterance: int) -> tuple[Segment, ...]:
    texts, starts, ends = shards.words(utterance)
    return tuple(Segment(t, float(s), float(e)) for t, s, e in zip(texts, starts, ends, strict=True))


def shown_ids(run: Run) -> list[str]:
    """Each id as it is written down; of several codebooks with the units beside it: ``712/3/-``, ``-`` for silence."""
    ids = [str(one) for one in run.ids.tolist()]
    if run.codes is None:
        return ids
    beside = [["-" if code == SILENT else str(code) for code in codes] for codes in run.codes.tolist()]
    return ["/".join([one, *codes]) for one, codes in zip(ids, beside, strict=True)]


def words_tokenizer(shards: UnitCorpus | StoredUnits) -> PreTrainedTokenizerFast:
    """A tokenizer with one token for each word of the shards: to look at rows before a text model is chosen."""
    words = sorted({word for index in range(len(shards)) for word in shards.text(index).split()} - {"<eos>", "<unk>"})
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(["<eos>", "<unk>", *words])}, "<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", unk_token="<unk>")


def plain_space(tokenizer: Any, num_units: int, num_codebooks: int = 1, *, num_text_ids: int | None = None) -> IdSpace:
    """The id space of a model that does not exist yet, as ``from_text_model`` lays it out.

    Of several codebooks each comes a position later than the one before, as in a new model.

    Args:
        tokenizer: of its text.
        num_units, num_codebooks: of its units.
        num_text_ids: rows of the text model's table; None: as many as the tokenizer has ids.
    """
    size = len(tokenizer) if num_text_ids is None else num_text_ids
    table = size + -size % ROWS_MULTIPLE
    return IdSpace(
        speech_offset=table + 3,
        num_units=num_units,
        begin_prompt=table,
        end_prompt=table + 1,
        switch=table + 2,
        eos_text=int(tokenizer.eos_token_id),
        num_text_ids=size,
        delays=tuple(range(num_codebooks)),
    )
