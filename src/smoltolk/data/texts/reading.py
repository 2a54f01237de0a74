"""Texts to speak and documents to train on: from files, one a line or JSON lines, and from data sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

from smoltolk.common.texts import split_lines
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Task
from smoltolk.data.rows.permutation import Permutation
from smoltolk.data.rows.plan import Plan, plan_rows
from smoltolk.data.rows.row_source import MINIMUM
from smoltolk.data.texts.text_datasets import open_documents
from smoltolk.data.texts.text_documents import Documents, check_text_file, no_texts, not_utf8, parse_line


def read_documents(source: Path | str) -> Documents:
    """The documents of a text file or a data set, by number and not in memory.

    Args:
        source: ``.txt`` (one a line; empty lines are left out), ``.jsonl`` (the ``text`` of each line), or a data set:
            see :func:`smoltolk.data.texts.text_datasets.open_documents`.

    Raises:
        NotFoundError: no such file.
        InputError: not UTF-8, no documents, or a line of JSON without a text.
        MissingExtraError: a data set, and ``datasets`` is not installed.
    """
    return open_documents(source)


def read_texts(path: Path | str) -> list[dict[str, Any]]:
    """Texts with an id each, all of them in memory.

    Args:
        path: ``.txt``: a text a line, ids ``00000``, ``00001`` and so on. ``.jsonl``: an object a line with ``text``
            and, if wanted, ``id`` and other keys.

    Returns:
        One dict for each text, with ``id`` and ``text`` at least.

    Raises:
        NotFoundError: no such file.
        InputError: not UTF-8, no texts, or a line of JSON without a text.
    """
    path = check_text_file(path)
    try:
        lines = split_lines(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    texts: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = parse_line(line, f"{path}, line {number}") if path.suffix.lower() == ".jsonl" else {"text": line}
        text = " ".join(row["text"].split())
        if text:
            texts.append({**row, "id": str(row.get("id", f"{len(texts):05d}")), "text": text})
    if not texts:
        raise no_texts(path)
    return texts


class Pieces(Sequence[str]):
    """The pieces of a plan as texts, each read when it is asked for.

    Args:
        plan: of running text.
    """

    def __init__(self, plan: Plan):
        self._plan = plan

    def __len__(self) -> int:
        return self._plan.num_pieces

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(len(self))[index]
        return [self._text(number) for number in numbers] if isinstance(numbers, range) else self._text(numbers)

    def _text(self, number: int) -> str:
        piece = self._plan.piece(number)
        return self._plan.corpus.text(piece.utterance, piece.start, piece.stop)


def fitting_pieces(corpus: AlignedCorpus, row_length: int, seed: int) -> tuple[Pieces, int]:
    """Documents as pieces that fit a row: longer ones are cut, at the ends of sentences where there are any.

    Args:
        corpus: the documents, tokenized; in memory or on disk.
        row_length: T, ids of a row.
        seed: of the order of the pieces.

    Returns:
        the pieces in a random order, and how many of them should be set aside for a row so that it gets full.

    Raises:
        InputError: nothing fits.
    """
    minimum = min(MINIMUM, row_length)
    plan = plan_rows(Task.TEXT, corpus, row_length=row_length, minimum=minimum, spans=SpanLengths(), seed=seed)
    return Pieces(plan), 1 + math.ceil(1.25 * plan.num_pieces / plan.num_rows)


def endless(texts: Sequence[str], seed: int) -> Callable[[int], str]:
    """Texts without end: number k has its text, each epoch visits every one once in an order of its own.

    Args:
        texts: at least one.
        seed: of the orders.
    """

    def text(k: int) -> str:
        epoch, place = divmod(k, len(texts))
        return texts[Permutation(len(texts), seed, epoch)(place)]

    return text
