"""Ids back into runs of text and of speech."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from smoltolk.model.ids import IdSpace


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring ids of one modality.

    Attributes:
        is_speech: whether they are speech.
        ids: text ids, or units from 0.
    """

    is_speech: bool
    ids: list[int] = field(default_factory=list)


def split_runs(ids: Iterable[int], space: IdSpace) -> list[Run]:
    """Cut ids where the modality changes.

    Control ids, ends, paddings and unused ids end a run and belong to none; so no run is empty.
    """
    runs: list[Run] = []
    joined = False
    for token_id in ids:
        content = content_of(token_id, space)
        if content is None:
            joined = False
            continue
        is_speech = space.is_speech(token_id)
        if not joined or runs[-1].is_speech != is_speech:
            runs.append(Run(is_speech))
        runs[-1].ids.append(content)
        joined = True
    return runs


def content_of(token_id: int, space: IdSpace) -> int | None:
    """The text id, or the unit from 0, that an id stands for; None if it only steers, or nothing stands for it."""
    if space.is_speech(token_id):
        return token_id - space.speech_offset if token_id < space.eos_speech else None
    return token_id if token_id < space.num_text and token_id != space.eos_text else None
