"""A model of half precision, computing in float32 for a while: what must be the same can be told from rounding then.

Thirty layers of bfloat16 that read eight positions at once, or four and then one, differ by a hundredth on processors
whose kernels round by shape. Documents that see each other may differ by less. A copy in float32 would be three times
the model; here one layer has such weights at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

HALVES = (torch.float16, torch.bfloat16)


def can_be_float32(text_model: PreTrainedModel) -> bool:
    """Whether its weights are plain numbers, in place, whose attention has kernels for float32."""
    implementation = str(getattr(text_model.config, "_attn_implementation", None))
    if "flash" in implementation or getattr(text_model, "hf_quantizer", None) is not None:
        return False
    if any(hasattr(part, "_hf_hook") for part in text_model.modules()):  # which brings weights only as they are asked
        return False
    return all(type(p.data) is Tensor and not p.is_meta for p in text_model.parameters())


@contextmanager
@torch.no_grad()
def in_float32(decoder: nn.Module) -> Iterator[None]:
    """Let a decoder that is given states in float32 compute in it; afterwards its weights are those of before.

    Args:
        decoder: with weights for which :func:`can_be_float32` holds. Its tables are read as they are.
    """
    kept: dict[nn.Parameter, Tensor] = {}
    hooks = []

    def widen(parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.dtype in HALVES and parameter not in kept:
                kept[parameter] = parameter.data
                parameter.data = parameter.data.float()

    def give_back(parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter in kept:
                parameter.data = kept.pop(parameter)

    try:
        for part in _parts(decoder):
            if isinstance(part, nn.Embedding):
                hooks.append(part.register_forward_hook(lambda module, args, made: made.float()))
            else:
                hooks.append(part.register_forward_pre_hook(lambda module, args: widen(module.parameters())))
                hooks.append(part.register_forward_hook(lambda module, args, made: give_back(module.parameters())))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        give_back(list(kept))


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """Layers, norms and tables: what stands in lists, or in models that only hold them."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict | PreTrainedModel):
            yield from _parts(child)
        else:
            yield child
