"""Attention for small models on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask

from smoltolk.common.errors import InputError

NAME = "smoltolk_cpu"


def cpu_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Plain products that stay in the type of the query.

    With heads of 32 and rows of a few hundred, torch's fused attention in bfloat16 loses its time in the backward
    pass, and transformers' own plain attention in turning every score to float32 and back: its mask is float32.

    Args:
        module: the attention layer.
        query: [B, H, T, D]; key, value: [B, H or fewer, S, D].
        attention_mask: [B, 1, T, S], added to the scores.
        scaling: of the scores.
        dropout: must be 0.
        kwargs: what else transformers passes; a soft cap would change the scores and is refused.

    Returns:
        [B, T, H, D], and no weights.
    """
    if dropout or kwargs.get("softcap") is not None:
        raise InputError(
            "this attention knows neither dropout nor soft caps",
            f"dropout {dropout}, soft cap {kwargs.get('softcap')}",
            "leave the model with the attention it came with",
        )
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    scores = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask.to(scores.dtype)
    return torch.matmul(scores.softmax(-1), value).transpose(1, 2).contiguous(), None


def use_cpu_attention(model: PreTrainedModel) -> None:
    """Let a model of a plain architecture (no soft caps, no dropout) attend this way."""
    AttentionInterface.register(NAME, cpu_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, eager_mask)
    model.set_attn_implementation(NAME)
