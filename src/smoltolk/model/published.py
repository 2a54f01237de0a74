"""What one published code does otherwise, so that its checkpoints compute what they computed there."""

from __future__ import annotations

import torch
from torch import Tensor


def published_visibility(is_speech: Tensor) -> Tensor:
    """Who sees whom in the input adapter of ``vozlms/smoltolk_base`` (``forward_audio_only``).

    It cuts spans at the changes of modality and counts them wrongly where a row opens with speech: there each span but
    the first also sees the text right before it, and if the row closes with text, its last span sees nothing, itself
    included. What a position sees then depends on what follows, so this is for scoring whole rows, not for decoding.
    Where a row opens with text the mask is the right one.

    Args:
        is_speech: [B, T] bool.

    Returns:
        [B, T, T] bool: whether a query (dimension 1) sees a key (dimension 2), causality included.
    """
    changes = is_speech[:, 1:] != is_speech[:, :-1]
    run = changes.new_zeros(is_speech.shape).long()  # number of the stretch of one modality, from 0
    run[:, 1:] = changes.cumsum(1)
    opens, closes = is_speech[:, :1], is_speech[:, -1:]
    blind = is_speech & opens & ~closes & (run == run[:, -1:] - 1)
    behind = run[:, :, None] - run[:, None, :]  # stretches from the key to the query
    spans = ((behind == 0) | ((behind == 1) & opens[..., None])) & ~blind[..., None]
    index = torch.arange(is_speech.shape[1], device=is_speech.device)
    own, past = index[:, None] == index, index[:, None] >= index
    return torch.where(is_speech[..., None], spans & past, own)
