"""Spoken question answering: a question is heard, an answer is written, and a reference is looked for in it.

Parquet as on the hub, by the column of its references: ``TwinkStart/llama-questions`` (``Answer``),
``TwinkStart/speech-web-questions`` (``answers``), ``TwinkStart/speech-triavia-qa`` (``answer``). The rule is the usual
``has_answer``: any reference stands in the answer as neighbouring tokens, both in NFD and lower case.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.tasks.items import SoundCell
from smoltolk.evaluation.tasks.layouts import parquet_columns, parquet_files, parquet_rows
from smoltolk.evaluation.tasks.task import Source

# Task -> the column of its references, and the folders that it may lie in.
ANSWERS = {
    "llama-questions": ("Answer", ("llama-questions", "llama_questions")),
    "web-questions": ("answers", ("speech-web-questions", "web-questions")),
    "trivia-qa": ("answer", ("speech-triavia-qa", "trivia-qa")),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A spoken question.

    Attributes:
        id: of the file and row.
        sound: the recording.
        references: answers that are right, one at least.
    """

    id: str
    sound: SoundCell
    references: tuple[str, ...]


def load_questions(task: str, source: Source) -> list[Question]:
    """Every row of every file.

    Raises:
        NotFoundError, InputError: no files, other columns, or a row without a reference.
    """
    column, _ = ANSWERS[task]
    root = source.folder(task)
    files = parquet_files(root)
    if not files:
        raise NotFoundError(f"{task} is Parquet with a recording and {column}", f"none in {root}", "check --data")
    questions = []
    for path in files:
        heard = _sound_column(path)
        for number, row in enumerate(parquet_rows(path, (heard,), (column,))):
            name = f"{path.stem}-{number}"
            references = tuple(_references(row[column]))
            if not references:
                raise InputError("a question has a reference at least", f"{task}: {name} has none", "fetch it again")
            questions.append(Question(name, row[heard], references))
    return questions


def has_answer(answer: str, references: Iterable[str]) -> bool:
    """Whether a reference stands in an answer as neighbouring tokens.

    >>> has_answer("It is New  York.", ["new york", "Boston"])
    True
    """
    said = tokens(answer)
    return any(_stands_in(tokens(reference), said) for reference in references)


def tokens(text: str) -> list[str]:
    r"""Runs of letters, digits and marks (``[\p{L}\p{N}\p{M}]+``) in NFD, in lower case."""
    runs, run = [], ""
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.category(character)[0] in "LNM":
            run += character
        elif run:
            runs.append(run)
            run = ""
    return [one.lower() for one in (*runs, run) if one]


def _stands_in(wanted: Sequence[str], said: Sequence[str]) -> bool:
    width = len(wanted)
    return bool(width) and any(said[start : start + width] == wanted for start in range(len(said) - width + 1))


def _sound_column(path: Path) -> str:
    columns, schema = parquet_columns(path), pq.read_schema(path)
    kinds = {name: schema.field(name).type for name in columns}
    heard = [name for name, kind in kinds.items() if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0]
    if len(heard) != 1:
        found = f"{path.name}: {', '.join(columns)}; recordings: {', '.join(heard) or 'none'}"
        raise InputError("spoken questions have one column of recordings", found, "use the files as published")
    return heard[0]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):  # as TriviaQA's own files have it
        return _references([value.get("value"), *(value.get("aliases") or [])])
    values = value if isinstance(value, list) else [value]
    return [str(one) for one in values if one is not None and str(one).strip()]
