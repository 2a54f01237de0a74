"""Rows: row i of a mixture is a pure function of (seed, i).

How a row finds its content without knowing the rows before it:

* The schedule says which stream it belongs to, and which row of that stream it is (:mod:`.mixture`).
* A stream over a corpus has a plan of R rows that own its pieces, each piece once (:mod:`.plan`). Row k of
  the stream is row ``order(k mod R)`` of the plan; each epoch ``k div R`` has an order of its own, a
  permutation that can be asked for any element (:mod:`.permutation`). So R rows of the stream are an epoch,
  and begin each piece once.
* A stream over text without end gives its row k the texts from number ``k * T`` on: a row of T ids never
  needs more than T of them.
* What else is random comes from a generator of (seed, i): the runs of interleaved documents, the order of the
  documents in the row, and the pieces that fill a row which its own pieces leave open.

So a resumed run needs one number, and rows do not depend on how many machines or workers make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import derive, generator
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Piece, Schedule, Stream, Task, TextSource, build_document
from smoltolk.data.rows.packing import choose_last
from smoltolk.data.rows.permutation import Permutation
from smoltolk.data.rows.plan import Plan, plan_rows
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IGNORE, IdSpace

MINIMUM = 16


@dataclass(frozen=True, slots=True)
class RowSettings:
    """Form of the rows.

    Attributes:
        length: T, ids of a row.
        spans: words in the runs of interleaved documents.
        separate: documents of a row cannot see each other; False: the row is one stream without borders.
        predict_switch: train the ``<switch>`` of interleaved documents.
        predict_prompt: train the given side of recognition and synthesis too.
        prompted_length: most ids of a recognition or synthesis document; None: as many as a row. Whoever asks for
            single sentences later should not train on whole recordings only.
        minimum: a document is not begun where fewer ids are left; the rest of the row is padding.
    """

    length: int = 2048
    spans: SpanLengths = field(default_factory=SpanLengths)
    separate: bool = True
    predict_switch: bool = False
    predict_prompt: bool = True
    prompted_length: int | None = None
    minimum: int = MINIMUM

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.length or self.length < 8:
            raise InputError(
                "a row has at least 8 ids, and 1 <= minimum <= length",
                f"length {self.length}, minimum {self.minimum}",
                "correct the settings",
            )


@dataclass(frozen=True, slots=True)
class Row:
    """One row of T ids.

    Attributes:
        input_ids: int64 ``[T]``.
        labels: int64 ``[T]``, aligned with ``input_ids`` (the model shifts); -100 where nothing is predicted.
        document_ids: int64 ``[T]``, from 0; all 0 if documents are not separate. Padding is a document of
            its own.
        task: of all its documents.
        stream: number of the stream in the mixture.
        pieces: what each document was made of, in order; for text without end, ``Piece(number, 0, 0)``.
        num_owned: how many of them are the row's own. The others fill it up.
        num_padding: ids at the end that are no document.
        codes: int64 ``[T, Q - 1]``, the units of the codebooks behind the first, delayed, -1 where they are silent;
            None with one codebook.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    document_ids: np.ndarray
    task: Task
    stream: int
    pieces: tuple[Piece, ...]
    num_owned: int
    num_padding: int
    codes: np.ndarray | None = None


class RowSource:
    """All rows of a mixture.

    Args:
        streams: the mixture.
        space: the id space.
        seed: of every choice.
        settings: form of the rows.

    Raises:
        InputError: a stream has nothing for its task.
    """

    def __init__(self, streams: Sequence[Stream], space: IdSpace, *, seed: int, settings: RowSettings | None = None):
        self.streams, self.space, self.seed = tuple(streams), space, seed
        self.settings = RowSettings() if settings is None else settings
        self._schedule = Schedule([stream.weight for stream in self.streams], derive(seed, "schedule"))
        self.plans: list[Plan | None] = [
            None
            if isinstance(stream.source, TextSource)
            else plan_rows(
                stream.task,
                stream.source,
                row_length=self.settings.length,
                prompted_length=self.settings.prompted_length,
                minimum=self.settings.minimum,
                spans=self.settings.spans,
                seed=derive(seed, "plan", number),
                tail=space.tail,
            )
            for number, stream in enumerate(self.streams)
        ]
        self._orders: dict[int, tuple[int, Permutation]] = {}

    @property
    def shares(self) -> list[float]:
        """Share of each stream in the rows; they sum to 1."""
        return (self._schedule.counts / self._schedule.counts.sum()).tolist()

    def place(self, index: int) -> tuple[int, int, int]:
        """``(stream, epoch, number)`` of row ``index`` >= 0: which row of which epoch of its stream it is.

        A stream of text without end has one epoch.
        """
        if index < 0:
            raise InputError("rows are counted from 0", f"row {index}", "give a number >= 0")
        number, count = self._schedule(index)
        plan = self.plans[number]
        return (number, 0, count) if plan is None else (number, *divmod(count, plan.num_rows))

    def row(self, index: int) -> Row:
        """Row ``index`` >= 0; there is no last one."""
        number, epoch, place = self.place(index)
        stream, plan, rng = self.streams[number], self.plans[number], generator(self.seed, "row", index)
        if plan is None or isinstance(stream.source, TextSource):
            pieces, documents = self._texts(stream.source, place)  # type: ignore[arg-type]
            return self._assemble(number, pieces, documents, len(pieces))
        owned = plan.row(self._order(number, plan.num_rows, epoch)(place))
        built = [self._build(stream.task, stream.source, piece, rng) for piece in owned]
        order = choose_last(np.array([len(document) for document in built]), self._room, rng)
        pieces, documents = [owned[place] for place in order], [built[place] for place in order]
        filled = sum(map(len, documents))
        while filled <= self._room:
            # The plan's last row, or interleaved documents that came out shorter than expected.
            pieces.append(plan.piece(int(rng.integers(plan.num_pieces))))
            documents.append(self._build(stream.task, stream.source, pieces[-1], rng))
            filled += len(documents[-1])
        return self._assemble(number, pieces, documents, len(owned))

    @property
    def _room(self) -> int:
        """Most ids before the place where a last document may still begin."""
        return self.settings.length - self.settings.minimum

    def _order(self, number: int, num_rows: int, epoch: int) -> Permutation:
        if self._orders.get(number, (-1,))[0] != epoch:
            self._orders[number] = epoch, Permutation(num_rows, self.seed, "epoch", number, epoch)
        return self._orders[number][1]

    def _build(self, task: Task, corpus: AlignedCorpus, piece: Piece, rng: np.random.Generator) -> Document:
        return build_document(
            task,
            corpus,
            piece,
            self.space,
            rng,
            spans=self.settings.spans,
            predict_switch=self.settings.predict_switch,
            predict_prompt=self.settings.predict_prompt,
        )

    def _texts(self, source: TextSource, count: int) -> tuple[list[Piece], list[Document]]:
        first = count * self.settings.length
        pieces: list[Piece] = []
        documents: list[Document] = []
        filled = 0
        while filled <= self._room:
            # Several at a time, because a tokenizer has a cost for each call.
            batch = range(first + len(pieces), first + len(pieces) + 1 + (self._room - filled) // 32)
            for number, tokens in zip(batch, source.tokens(batch), strict=True):
                if filled > self._room:
                    break
                pieces.append(Piece(number, 0, 0))
                documents.append(Document(self.space).text(tokens).end())
                filled += len(documents[-1])
        return pieces, documents

    def _assemble(self, number: int, pieces: list[Piece], documents: list[Document], num_owned: int) -> Row:
        length = self.settings.length
        input_ids = np.full(length, self.space.eos_text, np.int64)
        labels = np.full(length, IGNORE, np.int64)
        document_ids = np.zeros(length, np.int64)
        several = self.space.num_codebooks > 1
        codes = np.full((length, self.space.num_codebooks - 1), SILENT, np.int64) if several else None
        # Ids kept free behind each document, so that each of the row's own is begun. Only where interleaved
        # ones came out much longer than expected does this cut another than the last.
        kept = sum(min(len(document), self.settings.minimum) for document in documents[:num_owned])
        filled = begun = 0
        for document in documents:
            if filled >= length:
                break
            size = len(document)
            if begun < num_owned:
                kept -= min(size, self.settings.minimum)
            end = min(filled + size, max(length - kept, filled + 1))
            input_ids[filled:end] = document.input_ids[: end - filled]
            labels[filled:end] = document.labels[: end - filled]
            document_ids[filled:end] = begun
            if codes is not None:
                codes[filled:end] = document.codes[: end - filled]
            filled, begun = end, begun + 1
        document_ids[filled:] = begun
        if not self.settings.separate:
            document_ids[:] = 0
        return Row(
            input_ids,
            labels,
            document_ids,
            self.streams[number].task,
            number,
            tuple(pieces[:begun]),
            min(num_owned, begun),
            length - filled,
            codes,
        )
