"""Spoken questions: one is heard, an answer is written, and a reference or a letter is looked for in it.

Parquet as on the hub, by the column of its references: ``TwinkStart/llama-questions`` (``Answer``),
``TwinkStart/speech-web-questions`` (``answers``), ``TwinkStart/speech-triavia-qa`` (``answer``). The rule is the usual
``has_answer``: any reference stands in the answer as neighbouring tokens, both in NFD and lower case.

VoiceBench's (``hlt-lab/voicebench``) multiple choices, ``openbookqa`` and ``mmsu``, say four options and have the
letter of the right one as ``reference``. The published scorer draws a letter where it reads none in the answer; here
such an answer is wrong, and told.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.tasks.items import SoundCell
from smoltolk.evaluation.tasks.layouts import parquet_columns, parquet_files, parquet_rows
from smoltolk.evaluation.tasks.task import Source


@dataclass(frozen=True, slots=True)
class AnswerTask:
    """A task of spoken questions.

    Attributes:
        column: of its references.
        folders: names that it may have in a folder of several tasks.
        match: ``has_answer``, or ``letter``: of one of four options.
        chance: accuracy of a model that knows nothing.
    """

    column: str
    folders: tuple[str, ...]
    match: Literal["has_answer", "letter"] = "has_answer"
    chance: float = 0.0


ANSWERS = {
    "llama-questions": AnswerTask("Answer", ("llama-questions", "llama_questions")),
    "web-questions": AnswerTask("answers", ("speech-web-questions", "web-questions")),
    "trivia-qa": AnswerTask("answer", ("speech-triavia-qa", "trivia-qa")),
    "openbookqa": AnswerTask("reference", ("openbookqa", "voicebench/openbookqa"), "letter", 0.25),
    "mmsu": AnswerTask("reference", ("mmsu", "voicebench/mmsu"), "letter", 0.25),
}
_LETTERS = "abcd"
# Words that lead to a letter, and what ends it: "the best answer is option B.", "I would choose C"
_TOLD = re.compile(
    r"(?:answer|option|choice|choose|select|pick|is|be|:)\W*(?:(?:the|is|be|would|most|likely|option|letter|answer)\W+)*"
    rf"([{_LETTERS}])(?=[.,:;)!?]|\s*$|\s*\n)"
)


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
        NotFoundError, InputError: no files, other columns, no rows, or a row without a reference.
    """
    asked = ANSWERS[task]
    column, root = asked.column, source.folder(task)
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
            if asked.match == "letter" and any(one.strip().lower() not in tuple(_LETTERS) for one in references):
                rule = f"the reference of a multiple choice is one of {', '.join(_LETTERS.upper())}"
                raise InputError(rule, f"{task}: {name} has {references[0]!r}", "use the files as published")
            questions.append(Question(name, row[heard], references))
    if not questions:
        raise InputError(f"{task} has a question at least", f"no rows in {root}", "use the files as published")
    names = Counter(question.id for question in questions)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        fix = "name the folder of one of them: --data"
        raise InputError(f"files of {task} have names of their own", f"{root}: {twice!r} stands twice", fix)
    return questions


def points_of(task: str, answer: str, references: Iterable[str]) -> float | None:
    """What an answer is worth by the rule of its task; None: no letter can be read in it, which is wrong."""
    if ANSWERS[task].match == "has_answer":
        return float(has_answer(answer, references))
    letter = letter_of(answer)
    return None if letter is None else float(any(letter == one.strip().upper() for one in references))


def letter_of(answer: str) -> str | None:
    """The letter of the option that an answer names; None: it names none, or more than one.

    >>> letter_of("The best answer is (B)."), letter_of("c"), letter_of("A dog or b, c")
    ('B', 'C', None)
    """
    plain = re.sub(r"[*\"'\[\]{}(]|\\\w+", " ", answer)
    text = " ".join(plain.lower().split(" ")).strip()
    alone = re.match(rf"([{_LETTERS}])(?:[.,:)]|$)", text)
    if alone:
        return alone[1].upper()
    told = set(_TOLD.findall(text))
    if not told:  # "a" by itself is a word
        told = {one.lower() for one in re.findall(r"(?<![\w'])(?:A(?! +\w)|[bBcCdD])(?![\w'])", plain)}
    return told.pop().upper() if len(told) == 1 else None


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
