"""Random choices that belong to a row: what is drawn for a prompt does not depend on what is drawn beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next id is drawn; None in its place means the most likely one.

    Attributes:
        temperature: divides the logits, > 0.
        top_k: only the k most likely ids can be drawn; 0 means all.
    """

    temperature: float = 0.8
    top_k: int = 25

    def __post_init__(self) -> None:
        if not self.temperature > 0 or self.top_k < 0:
            raise InputError(
                "sampling needs temperature > 0 and top_k >= 0",
                f"temperature = {self.temperature}, top_k = {self.top_k}",
                "for the most likely id give no sampling at all",
            )


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


def draw_ids(scores_BV: Tensor, sampling: Sampling, numbers_B: Sequence[float] | np.ndarray) -> Tensor:
    """An id a row: the first whose share of the distribution, with those of all likelier ones, exceeds its number.

    Args:
        scores_BV: logits; what cannot be drawn is -inf.
        sampling: temperature and top_k.
        numbers_B: one a row, in [0, 1).

    Returns:
        int64 ``[B]``.
    """
    kept = min(sampling.top_k or scores_BV.shape[-1], scores_BV.shape[-1])
    best, ids = (scores_BV.float() / sampling.temperature).topk(kept, dim=-1)
    reached = best.softmax(-1).double().cumsum(-1)
    # The last sum need not be one to the last bit; and what cannot be drawn has a share of none.
    wanted = (
        torch.as_tensor(np.asarray(numbers_B), dtype=torch.float64, device=reached.device)[:, None] * reached[:, -1:]
    )
    place = (reached <= wanted).sum(-1, keepdim=True).clamp(max=kept - 1)
    return ids.gather(-1, place)[:, 0]


class RowDraws(LogitsProcessor):
    """Draws for each row by its own seed, inside a ``generate()`` that takes the most likely id.

    A row's choices are the same alone and in any batch, up to the last bits of its logits. It is the last of its list:
    what it has drawn alone stays possible.

    Args:
        sampling: temperature and top_k.
        seeds: one a row.
    """

    def __init__(self, sampling: Sampling, seeds: Sequence[int]):
        self._sampling, self._draws = sampling, [Draw(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """ids [B, T] so far and scores [B, V + U] -> scores."""
        drawn = draw_ids(scores, self._sampling, [draw() for draw in self._draws])
        return torch.full_like(scores, -torch.inf).scatter_(-1, drawn[:, None], 0.0)
