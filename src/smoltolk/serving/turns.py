"""Turns of a dialogue on the wire as the prompt of the next one, laid out as `tune` and `talk` lay them out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.turns import Segment, Turn
from smoltolk.inference.dialogue import next_prompt, spaced
from smoltolk.serving.engine import Engine
from smoltolk.serving.prompts import Content

_ANSWERS, _STAYS = "assistant", ("system", "developer")


@dataclass(frozen=True, slots=True)
class WireTurn:
    """A message.

    Attributes:
        role: as the client named it.
        contents: texts and units, none of them empty, one at least.
    """

    role: str
    contents: Sequence[Content]


def prompt_of_turns(engine: Engine, turns: Sequence[WireTurn], *, in_speech: bool, most: int) -> tuple[np.ndarray, int]:
    """What is continued by the next turn.

    Where it, and the turn, are more than the model has positions, the oldest questions go with their answers; what a
    system says in front stays, and so does the last turn.

    Args:
        engine: whose model answers; a tuned one takes each question as a prompt of its own.
        turns: the oldest first.
        in_speech: modality of the next one.
        most: ids that it may have.

    Returns:
        Ids int64 [n], and how many turns were left out.

    Raises:
        InputError: nothing was said, or a model tuned on dialogues has no question to answer.
    """
    if not turns:
        raise InputError("a prompt has a word or a recording at least", "nothing", "send some")
    known: dict[str, Segment] = {}

    def read(content: Content) -> Segment:
        if not isinstance(content, str):
            return engine.processor.segment(content)
        if content not in known:  # the same texts are read for every number of turns that is tried
            known[content] = engine.processor.segment(content)
        return known[content]

    def prompt(cut: int) -> np.ndarray:
        held = [*turns[:lead], *turns[cut:]]
        tuned = engine.settings.tuned
        contents = [list(one.contents) for one in held] if tuned else spaced([one.contents for one in held])
        said = [Turn(one.role == _ANSWERS, tuple(map(read, own))) for one, own in zip(held, contents, strict=True)]
        return next_prompt(engine.space, said, in_speech=in_speech, tuned=tuned).input_ids

    last = len(turns) - 1
    lead = next((place for place, one in enumerate(turns[:last]) if one.role not in _STAYS), last)
    begins = [place for place in range(lead + 1, last) if turns[place].role != _ANSWERS]
    cuts = list(dict.fromkeys([lead, *begins, last]))
    longest = engine.config.max_position_embeddings
    made = prompt(lead)
    if longest is None or len(made) + most <= longest or len(cuts) == 1:
        return made, 0
    place = 1 + bisect_left(cuts[1:-1], True, key=lambda cut: len(prompt(cut)) + most <= longest)
    return prompt(cuts[place]), cuts[place] - lead
