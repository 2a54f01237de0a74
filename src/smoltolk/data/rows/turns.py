"""Turns of a dialogue as one document: what is asked stands in a prompt, the answer behind it is what is learned.

::

    <eos text> <begin prompt> question <end prompt> answer <eos> [<switch>] <begin prompt> question <end prompt> ...

A question and an answer may be text, speech, or both in turns, with a ``<switch>`` wherever the modality changes. So a
row of one recording and its words is a document of recognition, one of words and their recording is one of synthesis,
and an answer without a question is a document of text, of speech, or an interleaved one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.model.ids import IGNORE, IdSpace

Segment = tuple[bool, np.ndarray]  # whether it is speech; text ids [n], units [n], of several codebooks frames [n, Q]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says.

    Attributes:
        is_answer: the model's; else what it is asked or told.
        segments: at least one, none of them empty.
        is_learned: whether an answer is predicted.
    """

    is_answer: bool
    segments: tuple[Segment, ...]
    is_learned: bool = True


@dataclass(frozen=True, slots=True)
class TurnDocument:
    """A dialogue as ids.

    Attributes:
        input_ids: int64 ``[length]``.
        labels: int64 ``[length]``, aligned with them; -100 everywhere but in the answers that are learned. An answer
            is also the ``<switch>`` that leads to it, where switches are predicted, and its end.
        codes: int64 ``[length, Q - 1]``, see :class:`~smoltolk.data.rows.documents.Document`.
        asked: length of what stands before the last answer.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    codes: np.ndarray
    asked: int

    def __len__(self) -> int:
        return len(self.input_ids)


def turn_document(space: IdSpace, turns: Sequence[Turn], *, predict_switch: bool = False) -> TurnDocument:
    """A dialogue that ends with an answer.

    Args:
        space: the id space.
        turns: several questions in a row are one prompt.
        predict_switch: whether an answer's ``<switch>`` is predicted.

    Raises:
        InputError: no answer at the end, or an empty turn.
    """
    document = Document(space, predict_switch=predict_switch)
    learned: list[tuple[int, int]] = []
    asked = 0
    for number, turn in enumerate(turns):
        if turn.is_answer:
            asked = len(document)
            _say(document, turn.segments)
            document.end()
            if turn.is_learned:
                learned.append((asked, len(document)))
        else:
            _ask(document, turn, begins=number == 0 or turns[number - 1].is_answer)
            if number + 1 == len(turns) or turns[number + 1].is_answer:
                _text_next(document).end_prompt()
    if not turns or not turns[-1].is_answer:
        raise InputError("a dialogue to learn from ends with an answer", f"{len(turns)} turns", "add the answer")
    labels = np.full(len(document), IGNORE, np.int64)
    for start, stop in learned:
        labels[start:stop] = document.labels[start:stop]
    return TurnDocument(document.input_ids, labels, document.codes, asked)


def answer_prompt(space: IdSpace, turns: Sequence[Turn], *, in_speech: bool | None) -> Document:
    """Everything before an answer: what a model that was tuned on dialogues continues by answering.

    Args:
        space: the id space.
        turns: the last of them a question.
        in_speech: modality of the answer; None: the model chooses, for which it must predict ``<switch>``.

    Raises:
        InputError: no question at the end, or an empty turn.
    """
    if not turns or turns[-1].is_answer:
        raise InputError("an answer follows a question", f"{len(turns)} turns", "end with a question")
    document = Document(space)
    for number, turn in enumerate(turns):
        if turn.is_answer:
            _say(document, turn.segments)
            document.end()
            continue
        _ask(document, turn, begins=number == 0 or turns[number - 1].is_answer)
        if number + 1 == len(turns) or turns[number + 1].is_answer:
            _text_next(document).end_prompt()
    return document.switch() if in_speech else document


def _ask(document: Document, turn: Turn, *, begins: bool) -> None:
    if begins:
        _text_next(document).begin_prompt()
    _say(document, turn.segments)


def _say(document: Document, segments: Sequence[Segment]) -> None:
    if not segments or any(len(ids) == 0 for _, ids in segments):
        raise InputError("every turn says something", "an empty one", "write it, or leave it out")
    for is_speech, ids in segments:
        if document.next_is_speech not in (None, is_speech):
            document.switch()
        document = document.speech(ids) if is_speech else document.text(ids)


def _text_next(document: Document) -> Document:
    return document.switch() if document.next_is_speech else document
