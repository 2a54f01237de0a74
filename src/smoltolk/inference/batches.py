"""Sequences of all lengths in batches, and a model that is as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from smoltolk.model.text_models.attention import quick_attention


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices grouped by length so that ``longest * members <= batch_tokens``, the longest group first.

    The longest first, so that a lack of memory shows itself at once. As few groups as that takes, and none of them
    larger than it must be: a last group of a few would leave the others with more padding.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))

    def most(start: int) -> int:
        """Of the group that begins there."""
        return max(1, batch_tokens // max(1, lengths[order[start]]))

    start = groups = 0
    while start < len(order):
        start, groups = start + most(start), groups + 1
    start = 0
    while start < len(order):
        size = min(most(start), -(-(len(order) - start) // groups))
        yield order[start : start + size]
        start, groups = start + size, groups - 1


def pad_right(arrays: Sequence[np.ndarray], filler: int, device: torch.device) -> Tensor:
    """int64 [B, longest, ...] of arrays [n, ...] each."""
    longest = max(map(len, arrays))
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), filler, np.int64)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = array
    return torch.from_numpy(padded).to(device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) inside the block, the former mode after it; the precision of whoever evaluates, and
    the attention that is quickest here.

    Around the ``forward`` of a model that it has prepared for training, accelerate leaves its autocast.
    """
    training, attributes = model.training, vars(model)
    own, prepared = attributes.get("_original_forward"), attributes.get("forward")
    # Pipelines of accelerate keep the former forward too; theirs is the one to call.
    wrapped = own is not None and prepared is not None and "_original_call" not in attributes
    model.eval()
    try:
        if wrapped:
            attributes["forward"] = own
        with quick_attention(model):
            yield
    finally:
        if wrapped:
            attributes["forward"] = prepared
        model.train(training)
