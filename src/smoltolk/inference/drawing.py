"""Random choices that belong to a row: what is drawn for a prompt does not depend on what is drawn beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from smoltolk.common.seeds import generator
from smoltolk.inference.sampling import Sampling


class Draw:
    """The draws of one row: one number of its own stream a step.

    Args:
        seed: of the row.
    """

    def __init__(self, seed: int):
        self._numbers = generator(seed, "draw")

    def __call__(self) -> float:
        """The next number, in [0, 1)."""
        return float(self._numbers.random())


def draw_ids(logits: Tensor, samplings: Sequence[Sampling | None], draws: Sequence[Callable[[], float]]) -> Tensor:
    """The next id of each row: the first whose share, with those of all likelier ones, exceeds the row's number.

    Ids are kept or left out row by row, and one number chooses among those that are kept, the likeliest first: a row's
    id depends on its logits and its number alone.

    Args:
        logits: float [B, ids]; what cannot be drawn is -inf, or the least number of its type.
        samplings: of each row; None: the most likely id.
        draws: give each row's numbers, in [0, 1); one is taken where the row samples.

    Returns:
        int64 [B].
    """
    chosen = logits.argmax(-1)
    size = logits.shape[1]
    # The likeliest ids alone where that is all a row can draw; a large vocabulary takes long to sort.
    few: list[tuple[int, Sampling]] = []
    rest: list[tuple[int, Sampling]] = []
    for row, sampling in enumerate(samplings):
        if sampling is not None:
            (few if 0 < sampling.top_k < size else rest).append((row, sampling))
    for members, most in ((few, max((sampling.top_k for _, sampling in few), default=0)), (rest, size)):
        if members:
            rows = [row for row, _ in members]
            best, ids = logits[rows].float().topk(most, dim=-1)
            place = _place(best, [sampling for _, sampling in members], [draws[row]() for row in rows])
            chosen[rows] = ids.gather(1, place[:, None])[:, 0]
    return chosen


def _place(best: Tensor, samplings: Sequence[Sampling], numbers: Sequence[float]) -> Tensor:
    """Where in its list of likeliest ids, logits [B, n] in descending order, each row finds its id: int64 [B]."""
    told = torch.tensor([(one.temperature, one.top_k or best.shape[1], one.top_p) for one in samplings])
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


class RowDraws(LogitsProcessor):
    """Draws for each row by its own seed, inside a ``generate()`` that takes the most likely id.

    A row's choices are the same alone and in any batch, up to the last bits of its logits. It is the last of its list:
    what it has drawn alone stays possible.

    Args:
        sampling: of all rows.
        seeds: one a row.
    """

    def __init__(self, sampling: Sampling, seeds: Sequence[int]):
        self._samplings, self._draws = [sampling] * len(seeds), [Draw(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """ids [B, T] so far and scores [B, V + U] -> scores."""
        drawn = draw_ids(scores, self._samplings, self._draws)
        return torch.full_like(scores, -torch.inf).scatter_(-1, drawn[:, None], 0.0)
