"""Turns of a dialogue: each is continued behind those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from smoltolk.data.rows import turns as turns_of_rows
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.inference.answers import Answer, StreamPiece
from smoltolk.inference.recordings import is_recording
from smoltolk.model.ids import IdSpace

Segment = str | np.ndarray  # text, or units


class Talks(Protocol):
    """What is needed of :class:`~smoltolk.inference.speech_text.SpeechText`."""

    processor: Any
    settings: Any

    def units_of(self, audio: Any) -> np.ndarray: ...

    def most_ids(self, to: Any, max_seconds: float | None = None, max_new: int | None = None) -> int: ...

    def room_behind(self, prompt: Any, to: Any = "speech") -> int: ...

    @property
    def generate(self) -> Callable[..., Any]: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What was asked and what was answered, as segments of a prompt.

    Attributes:
        asked: texts and units.
        answer: one of them; empty where nothing was answered.
    """

    asked: list[Segment]
    answer: Segment

    @property
    def segments(self) -> list[Segment]:
        """All that is not empty."""
        return [*self.asked, *([self.answer] if len(self.answer) else [])]


def next_prompt(space: IdSpace, turns: Sequence[turns_of_rows.Turn], *, in_speech: bool, tuned: bool) -> Document:
    """What is continued by the next turn: of a tuned model what `tune` teaches, else all that was said.

    Args:
        space: the id space.
        turns: the oldest first; of a tuned model the last one is a question.
        in_speech: modality of the next one.
        tuned: whether the model was tuned on dialogues.

    Raises:
        InputError: no turn, an empty one, or no question at the end.
    """
    if tuned:
        return turns_of_rows.answer_prompt(space, turns, in_speech=in_speech)
    return mixed_prompt(space, [part for one in turns for part in one.segments], continue_in_speech=in_speech)


def spaced(turns: Sequence[Sequence[Segment]]) -> list[list[Segment]]:
    """Turns with a space before texts behind something else, as they have it where models learn."""
    made: list[list[Segment]] = []
    for number, turn in enumerate(turns):
        made.append(
            [
                f" {one}" if (number or place) and isinstance(one, str) and one[:1].strip() else one
                for place, one in enumerate(turn)
            ]
        )
    return made


class Dialogue:
    """Turns with a model, which :meth:`SpeechText.dialogue` begins::

        dialogue = talker.dialogue(to="speech")
        dialogue.ask("In Oslo, Mia has a dog.")      # -> Answer
        dialogue.ask(Path("question.wav"), to="text")

    The prompt of a turn is all that was said before it; of a model tuned on dialogues each question stands in a
    prompt of its own. Where that, and room for an answer, is more than the model has
    positions, the oldest turns are left out for good, and the answer says how many. A turn that is refused changes
    nothing.

    Args:
        talker: what answers.
        to: what it answers in, unless a turn says something else.
        options: of ``SpeechText.generate``; each turn counts the seed on.

    Attributes:
        turns: those that are remembered, the oldest first.
        dropped: how many were left out.
    """

    def __init__(self, talker: Talks, to: Literal["speech", "text"] = "speech", **options: Any):
        self.talker, self.to, self.options = talker, to, options
        self.turns: list[Turn] = []
        self.dropped = self._number = 0

    def ask(self, prompt: Any, to: Literal["speech", "text"] | None = None) -> Answer:
        """Say or write something, and get an answer.

        Args:
            prompt: as of ``SpeechText.generate``, one.
            to: what it answers in; default: that of the dialogue.

        Raises:
            InputError: as ``SpeechText.generate``; the turn then did not happen.
        """
        asked, kept, options = self._prepared(prompt, to)
        answer = self.talker.generate(self._whole(kept, asked, options["to"]), **options)
        said = answer.text if answer.speech is None else answer.speech.units
        self._happened(kept, asked, said)
        return replace(answer, dropped=self.dropped)

    def stream(self, prompt: Any, to: Literal["speech", "text"] | None = None) -> Iterator[StreamPiece]:
        """The same in pieces; the turn is remembered with what came until nobody listened any more.

        Raises:
            InputError: as :meth:`ask`, of the first piece that is asked for.
        """
        asked, kept, options = self._prepared(prompt, to)
        whole = self._whole(kept, asked, options["to"])
        pieces: list[StreamPiece] = []
        try:
            for piece in self.talker.generate(whole, stream=True, **options):
                pieces.append(piece)
                yield piece
        except GeneratorExit:  # anything else that ends it early is a turn that did not happen
            self._happened(kept, asked, _said(pieces, options["to"]))
            raise
        self._happened(kept, asked, _said(pieces, options["to"]))

    def _prepared(self, prompt: Any, to: Any) -> tuple[list[Segment], list[Turn], dict[str, Any]]:
        """What is asked, the turns that there is room for, and the options of generation."""
        to = to or self.to
        parts = list(prompt) if isinstance(prompt, list) else [prompt]
        asked = [self.talker.units_of(one) if is_recording(one) else one for one in parts]
        options = {**self.options, "to": to, "seed": self.options.get("seed", 0) + self._number}
        if to == "text":
            options.pop("max_seconds", None)
            options.pop("speaker", None)
        most = self.talker.most_ids(to, options.get("max_seconds"), options.get("max_new"))
        kept = list(self.turns)
        while kept and self.talker.room_behind(self._whole(kept, asked, to), to) < most:
            del kept[0]
        return asked, kept, options

    def _whole(self, kept: list[Turn], asked: list[Segment], to: str) -> Document | list[Segment]:
        """The prompt: turns, and what is asked."""
        if not self.talker.settings.tuned:
            return [part for turn in spaced([*(turn.segments for turn in kept), asked]) for part in turn]
        read, said = self.talker.processor.segment, []
        for turn in kept:
            said.append(turns_of_rows.Turn(False, tuple(map(read, turn.asked))))
            if len(turn.answer):
                said.append(turns_of_rows.Turn(True, (read(turn.answer),)))
        said.append(turns_of_rows.Turn(False, tuple(map(read, asked))))
        return next_prompt(self.talker.processor.space, said, in_speech=to == "speech", tuned=True)

    def _happened(self, kept: list[Turn], asked: list[Segment], answer: Segment) -> None:
        self.dropped += len(self.turns) - len(kept)
        self.turns = [*kept, Turn(asked, answer)]
        self._number += 1


def _said(pieces: list[StreamPiece], to: str) -> Segment:
    """What pieces say, one after the other."""
    if to == "text":
        return "".join(piece.text or "" for piece in pieces)
    made = [piece.units for piece in pieces if piece.units is not None and len(piece.units)]
    return np.concatenate(made) if made else np.zeros(0, np.int64)
