"""Texts to speak and documents to train on: from files, one a line or JSON lines, and from data sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.texts import split_lines
from smoltolk.data.rows.aligned import AlignedCorpus, Texts
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Task
from smoltolk.data.rows.permutation import Permutation
from smoltolk.data.rows.plan import plan_rows
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


def fitting_pieces(documents: Sequence[str], tokenizer: Any, row_length: int, seed: int) -> tuple[list[str], int]:
    """Documents as pieces that fit a row: longer ones are cut, at the ends of sentences where there are any.

    Args:
        documents: the texts.
        tokenizer: fast tokenizer of the text model.
        row_length: T, ids of a row.
        seed: of the order of the pieces.

    Returns:
        the pieces in a random order, and how many of them should be set aside for a row so that it gets full.

    Raises:
        InputError: nothing fits.
    """
    corpus = AlignedCorpus(Texts(documents), tokenizer, frame_rate=1.0)
    minimum = min(MINIMUM, row_length)
    plan = plan_rows(Task.TEXT, corpus, row_length=row_length, minimum=minimum, spans=SpanLengths(), seed=seed)
    pieces = [corpus.text(one.utterance, one.start, one.stop) for one in map(plan.piece, range(plan.num_pieces))]
    return pieces, 1 + math.ceil(1.25 * len(pieces) / plan.num_rows)


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
