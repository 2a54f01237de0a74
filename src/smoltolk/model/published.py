"""What one published code does otherwise, so that its checkpoints compute what they computed there."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def published_visibility(is_speech: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The input adapter's mask in ``vozlms/smoltolk_base`` (``forward_audio_only``), for transformers' mask functions.

    It cuts spans at the changes of modality and counts them wrongly where a row opens with speech: there each span but
    the first also sees the text right before it, and if the row closes with text, its last span sees nothing, itself
    included. What a position sees then depends on what follows, so this is for scoring whole rows, not for decoding.
    Where a row opens with text the mask is the right one.

    Args:
        is_speech: [B, T] bool.

    Returns:
        ``visible(batch, head, query, key)``, to be combined with causality.
    """
    changes = is_speech[:, 1:] != is_speech[:, :-1]
    run = changes.new_zeros(is_speech.shape).long()  # number of the stretch of one modality, from 0
    run[:, 1:] = changes.cumsum(1)
    opens, closes = is_speech[:, 0], is_speech[:, -1]
    blind = is_speech & (opens & ~closes)[:, None] & (run == run[:, -1:] - 1)

    def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        same = (run[batch, query] == run[batch, key]) & ~blind[batch, query]
        before = opens[batch] & (run[batch, query] == run[batch, key] + 1) & ~blind[batch, query]
        return (is_speech[batch, query] & (same | before)) | (~is_speech[batch, query] & (query == key))

    return visible
