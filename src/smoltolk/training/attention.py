"""How a model attends while it trains: one place decides it, by device, precision and size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask

from smoltolk.common.errors import InputError
from smoltolk.training.recipe import Recipe

NAME = "smoltolk_cpu"
_REPLACED = "sdpa"  # torch's fused attention, what transformers takes by itself
_MOST_SCORES = 1 << 24  # rows x heads x positions x positions


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


@contextmanager
def quick_attention(model: PreTrainedModel, recipe: Recipe, rows: int) -> Iterator[None]:
    """Let a model attend inside the block the way that trains it quickest, and as before after it.

    On a GPU that is the way it came with, and so it is in float32, hence in every evaluation. On a CPU in bfloat16 it
    is :func:`cpu_attention` (docs/log.md has the figures), where the scores of a pass fit into 32 MiB a layer and the
    architecture attends plainly, which is tried.

    Args:
        model: any model of transformers.
        recipe: its precision and the length of its rows.
        rows: of one forward pass.
    """
    heads = getattr(model.config.get_text_config(), "num_attention_heads", 1)
    few = rows * heads * recipe.row_length**2 <= _MOST_SCORES
    quick = few and recipe.bf16 and not torch.cuda.is_available() and _attends_plainly(model)
    if quick:
        model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        if quick:
            model.set_attn_implementation(_REPLACED)


@torch.no_grad()
def _attends_plainly(model: PreTrainedModel) -> bool:
    """Whether the model computes the same with plain products: no soft caps, sinks, biases or dropout of its own."""
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    if any(part.config._attn_implementation != _REPLACED for part in parts):
        return False
    AttentionInterface.register(NAME, cpu_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, eager_mask)
    ids = torch.arange(8, device=model.device)[None]
    was_training = model.training
    try:
        expected = model.eval()(input_ids=ids, use_cache=False).logits
        model.set_attn_implementation(NAME)
        found = model(input_ids=ids, use_cache=False).logits
        with torch.random.fork_rng(devices=[]):
            model.train()(input_ids=ids, use_cache=False)  # dropout shows here
    except (InputError, ValueError, TypeError, KeyError, AttributeError, RuntimeError):  # whatever does not fit
        return False
    finally:
        model.train(was_training)
        model.set_attn_implementation(_REPLACED)
    real = expected > torch.finfo(expected.dtype).min  # elsewhere an impossible id
    return torch.allclose(found[real], expected[real], rtol=0, atol=1e-4 * float(expected[real].abs().max()))
