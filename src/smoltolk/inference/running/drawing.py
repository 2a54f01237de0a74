"""How each row of a running batch draws its next id: by its own settings, with its own random numbers.

What a row draws depends on its logits and its generator alone, whoever stands beside it: ids are kept or left out row
by row, and one random number chooses among those that are kept, in the order of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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

    def generator(self) -> np.random.Generator:
        """The row's own source of random numbers."""
        return np.random.Generator(np.random.PCG64(self.seed))


def draw(logits: Tensor, drawings: Sequence[Drawing], generators: Sequence[np.random.Generator]) -> Tensor:
    """The next id of each row.

    Args:
        logits: float [B, ids].
        drawings, generators: of each row; a generator gives one number, if its row is not greedy.

    Returns:
        int64 [B].
    """
    chosen = logits.argmax(-1)
    sampled = [row for row, drawing in enumerate(drawings) if drawing.temperature > 0]
    if not sampled:
        return chosen
    settings = [drawings[row] for row in sampled]
    probs = _kept(logits[sampled].double(), settings)
    until = probs.cumsum(-1)
    randoms = torch.tensor([generators[row].random() for row in sampled], dtype=torch.float64, device=logits.device)
    # Below the total, whatever the rounding: behind the last id that is kept nothing can be chosen.
    total = until[:, -1]
    wanted = torch.minimum(randoms * total, torch.nextafter(total, torch.zeros_like(total)))
    chosen[sampled] = torch.searchsorted(until, wanted[:, None], right=True)[:, 0]
    return chosen


def _kept(logits: Tensor, settings: Sequence[Drawing]) -> Tensor:
    """Probabilities [B, ids], 0 for ids that are left out; ties are kept together."""
    numbers = torch.tensor([(one.temperature, one.top_k, one.top_p) for one in settings], dtype=torch.float64)
    temperature, top_k, top_p = numbers.to(logits.device).unbind(1)
    logits = logits / temperature[:, None]
    limited = (top_k > 0) & (top_k < logits.shape[1])
    if bool(limited.any()):
        most = int(top_k[limited].max())
        least = logits.topk(most).values.gather(1, (top_k.clamp(1, most) - 1).long()[:, None])
        logits = logits.masked_fill((logits < least) & limited[:, None], -torch.inf)
    probs = logits.softmax(-1)
    nucleus = top_p < 1
    if bool(nucleus.any()):
        ordered = probs[nucleus].sort(-1, descending=True).values
        # An id is needed while those before it fall short.
        needed = (ordered.cumsum(-1) - ordered < top_p[nucleus, None]).sum(-1, keepdim=True)
        least = ordered.gather(1, needed - 1)
        probs[nucleus] = probs[nucleus].masked_fill(probs[nucleus] < least, 0.0)
    return probs
