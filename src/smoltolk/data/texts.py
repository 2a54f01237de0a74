"""Texts in files: one a line, or JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.aligned import AlignedCorpus, Texts
from smoltolk.data.interleave import SpanLengths
from smoltolk.data.mixture import Task
from smoltolk.data.permutation import Permutation
from smoltolk.data.plan import plan_rows


def read_documents(path: Path | str) -> list[str]:
    """The documents of a text file, one a line (``.jsonl``: the ``text`` of each line); empty lines are left out.

    Raises:
        NotFoundError: no such file.
        InputError: not UTF-8, no documents, or a line of JSON without a text.
    """
    return [row["text"] for row in read_texts(path)]


def read_texts(path: Path | str) -> list[dict[str, Any]]:
    """Texts with an id each.

    Args:
        path: ``.txt``: a text a line, ids ``00000``, ``00001`` and so on. ``.jsonl``: an object a line with ``text``
            and, if wanted, ``id`` and other keys.

    Returns:
        One dict for each text, with ``id`` and ``text`` at least.

    Raises:
        NotFoundError: no such file.
        InputError: not UTF-8, no texts, or a line of JSON without a text.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("a file of texts must exist", f"no file {path}", "check the path")
    if path.suffix.lower() not in (".txt", ".jsonl"):
        raise InputError("a file of texts is .txt (a text a line) or .jsonl", path.name, "name or convert it so")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be text in UTF-8", str(error), "save it again as UTF-8") from error
    texts: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _parse(line, f"{path}, line {number}") if path.suffix.lower() == ".jsonl" else {"text": line}
        text = " ".join(row["text"].split())
        if text:
            texts.append({**row, "id": str(row.get("id", f"{len(texts):05d}")), "text": text})
    if not texts:
        raise InputError("a file of texts holds at least one", f"{path} has none", "write one text a line")
    return texts


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError("every line of a .jsonl file must be JSON", f"{where}: {error}", "correct the line") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise InputError('every line must be like {"text": "..."}', f"{where}: {line[:80]}", "correct the line")
    return row


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
    minimum = min(16, row_length)
    plan = plan_rows(Task.TEXT, corpus, row_length=row_length, minimum=minimum, spans=SpanLengths(), seed=seed)
    pieces = [corpus.text(*where) for where in zip(plan.utterance, plan.start, plan.stop, strict=True)]
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
