"""How each row of a running batch draws its next id: by its own settings, with its own random numbers.

What a row draws depends on its logits and its seed alone, whoever stands beside it: ids are kept or left out row by
row, and one number chooses among those that are kept, the likeliest first. So rows of the same seed draw what
:mod:`smoltolk.inference.drawing` draws for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the next id is drawn.

    Attributes:
        temperature: divides the logits; 0: the most likely id, whatever the rest says.
        top_k: only the k most likely ids can be drawn; 0: all.
        top_p: only the most likely ids that together have this probability; 1: all.
        seed: of the row's random numbers.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.temperature < float("inf") and self.top_k >= 0 and 0 < self.top_p <= 1 and self.seed >= 0):
            raise InputError(
                "drawing needs temperature >= 0, top_k >= 0, 0 < top_p <= 1 and a seed >= 0",
                f"temperature = {self.temperature}, top_k = {self.top_k}, top_p = {self.top_p}, seed = {self.seed}",
                "give such numbers; temperature 0 is the most likely id",
            )


def draw(logits: Tensor, drawings: Sequence[Drawing], draws: Sequence[Callable[[], float]]) -> Tensor:
    """The next id of each row: the first whose share, with those of all likelier ones, exceeds the row's number.

    Args:
        logits: float [B, ids].
        drawings: of each row.
        draws: give each row's numbers, in [0, 1); one is taken, if the row is not greedy.

    Returns:
        int64 [B].
    """
    chosen = logits.argmax(-1)
    sampled = [row for row, drawing in enumerate(drawings) if drawing.temperature > 0]
    size = logits.shape[1]
    # The likeliest ids alone where that is all a row can draw; a large vocabulary takes long to sort.
    few = [row for row in sampled if 0 < drawings[row].top_k < size]
    rest = [row for row in sampled if not 0 < drawings[row].top_k < size]
    for rows, most in ((few, max((drawings[row].top_k for row in few), default=0)), (rest, size)):
        if rows:
            best, ids = logits[rows].float().topk(most, dim=-1)
            place = _place(best, [drawings[row] for row in rows], [draws[row]() for row in rows])
            chosen[rows] = ids.gather(1, place[:, None])[:, 0]
    return chosen


def _place(best: Tensor, settings: Sequence[Drawing], numbers: Sequence[float]) -> Tensor:
    """Where in its list of likeliest ids, logits [B, n] in descending order, each row finds its id: int64 [B]."""
    told = torch.tensor([(one.temperature, one.top_k or best.shape[1], one.top_p) for one in settings])
    temperature, top_k, top_p = told.to(best.device)[..., None].unbind(1)
    beyond = torch.arange(best.shape[1], device=best.device) >= top_k
    shares = (best / temperature).masked_fill(beyond, -torch.inf).softmax(-1).double()
    reached = shares.cumsum(-1)
    # An id is needed while those before it fall short.
    needed = (reached - shares < top_p).sum(-1, keepdim=True).clamp(min=1)
    total = reached.gather(1, needed - 1)
    wanted = torch.tensor(numbers, dtype=torch.float64, device=best.device)[:, None] * total
    place = (reached <= wanted).sum(-1)
    # Whatever the rounding, nothing behind the last id that is kept, and none of no share.
    last = ((reached <= total) & (shares > 0)).sum(-1) - 1
    return torch.minimum(place, torch.minimum(last, needed[:, 0] - 1).clamp(min=0))
