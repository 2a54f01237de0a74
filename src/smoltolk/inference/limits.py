"""Where a row stops that has not come to its end: so many ids, so much sound, or nobody listens any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import StoppingCriteria

_LOOKS_EVERY = 8  # steps between two looks at how long the sound has become


class Limits(StoppingCriteria):
    """Rows of one ``generate()`` that are done for want of room.

    Args:
        most: ids of each row, behind its prompt.
        prompt_length: of the padded prompts.
        is_long: given ids [n] behind a prompt, whether they are enough; None: nothing else counts.

    Attributes:
        reached: where each such row stopped, by its place: ids behind the prompt.
    """

    def __init__(self, most: Sequence[int], prompt_length: int, is_long: Callable[[np.ndarray], bool] | None = None):
        self._most, self._prompt_length, self._is_long = most, prompt_length, is_long
        self.reached: dict[int, int] = {}

    def __call__(self, input_ids: Tensor, scores: object, **kwargs: object) -> Tensor:
        """ids [B, T] so far -> bool [B]."""
        made = input_ids.shape[1] - self._prompt_length
        looks = self._is_long is not None and made % _LOOKS_EVERY == 0
        for row, most in enumerate(self._most):
            if row in self.reached:
                continue
            if made >= most or (looks and self._is_long(input_ids[row, self._prompt_length :].cpu().numpy())):  # type: ignore[misc]
                self.reached[row] = made
        done = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        if self.reached:
            done[list(self.reached)] = True
        return done


class Stop(StoppingCriteria):
    """All rows are done when nobody waits for them any more.

    Args:
        asked: whether to stop, asked at every step.
    """

    def __init__(self, asked: Callable[[], bool]):
        self._asked = asked

    def __call__(self, input_ids: Tensor, scores: object, **kwargs: object) -> Tensor:
        """ids [B, T] so far -> bool [B]."""
        return torch.full((input_ids.shape[0],), self._asked(), dtype=torch.bool, device=input_ids.device)
