"""Prompts made ready, each with its limit and its seed, and how they are continued together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.inference.generation import Generation, generate, to_units
from smoltolk.inference.sampling import Sampling
from smoltolk.inference.speakers import Speaker, durations_of
from smoltolk.model.ids import IdSpace

_ENDLESS = 1 << 30  # positions of models that count them without an end


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt made ready.

    Attributes:
        document: its ids.
        most: ids, or frames, that may come behind it.
        seed: of its draws and of the vocoder.
    """

    document: Document
    most: int
    seed: int


def seeds_of(seed: int | Sequence[int], number: int) -> list[int]:
    """Each item's own seed: those that are given, or one and those behind it.

    Raises:
        InputError: another number of seeds than of items.
    """
    if isinstance(seed, int | np.integer):
        return [int(seed) + place for place in range(number)]
    if len(seed) != number:
        raise InputError("every item of a batch has a seed", f"{len(seed)} seeds, {number} items", "give one each")
    return list(seed)


def positions_left(model: Any, document: Document, speaks: bool) -> int:
    """Ids, or frames, that the model's positions leave behind a prompt; less than 1 where there is no room."""
    longest = model.config.max_position_embeddings
    if longest is None:
        return _ENDLESS
    return longest - len(document) - (model.config.id_space.tail if speaks else 0)  # where the last frame finishes


def room_of(model: Any, request: Request, speaks: bool) -> int:
    """Ids, or frames, that may come behind a prompt.

    Raises:
        InputError: the model has no position left.
    """
    left = positions_left(model, request.document, speaks)
    if left < 1:
        raise InputError(
            "a prompt must leave the model room to answer",
            f"{len(request.document):,} ids, the model holds {model.config.max_position_embeddings:,}",
            "give a shorter recording or text",
        )
    return min(request.most, left)


def continue_all(
    model: Any,
    requests: Sequence[Request],
    *,
    speaks: bool,
    sampling: Sampling | None,
    is_long: Callable[[np.ndarray], bool] | None = None,
    **options: Any,
) -> list[Generation]:
    """A continuation of each request; those that have no room for the longest answer go by themselves.

    Args:
        model: a SmolTolk model.
        requests: in any number.
        speaks: whether they are continued in speech.
        sampling, is_long: as for :func:`~smoltolk.inference.generation.generate`.
        options: more of it.

    Raises:
        InputError: a prompt leaves no room.
    """
    space: IdSpace = model.config.id_space
    most = [room_of(model, one, speaks) for one in requests]
    longest = max(most, default=0)
    roomy = [n for n, one in enumerate(requests) if positions_left(model, one.document, speaks) >= longest]
    results: dict[int, Generation] = {}
    for group in (roomy, *([n] for n in range(len(requests)) if n not in roomy)):
        made = generate(
            model,
            [requests[n].document for n in group],
            end_id=space.eos_speech if speaks else space.eos_text,
            pad_id=space.eos_text,
            max_new_tokens=[most[n] for n in group],
            sampling=sampling,
            seed=[requests[n].seed for n in group],
            is_long=is_long,
            **options,
        )
        results.update(zip(group, made, strict=True))
    return [results[n] for n in range(len(requests))]


def longer_than(seconds: float | None, space: IdSpace, speaker: Speaker) -> Callable[[np.ndarray], bool] | None:
    """Whether ids are more than so many seconds; None without a limit, and where frames are counted."""
    if seconds is None or space.num_codebooks > 1:
        return None

    def is_long(ids: np.ndarray) -> bool:
        units = to_units(Generation(ids, ended=False), space)
        return len(units) > 0 and durations_of(units, speaker).sum() > seconds * speaker.frame_rate

    return is_long
