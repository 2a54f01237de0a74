"""A text model without weights: made for those of another one to be put in, so that memory never holds both."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

_EMPTY = torch.ops.aten.empty.memory_format
_DRAWN_IN_PARTS = (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default)
_PART, _FEWEST = 1 << 16, 16  # numbers at a time; torch draws fewer than 16 in another way


class _Weightless(TorchDispatchMode):
    """Memory for weights is not taken (they lie on ``meta``), yet all random numbers are drawn that they would need.

    So whatever is made next with the same seed is the same as behind a text model that has weights. A tensor's numbers
    are drawn into memory that is let go at once.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is _EMPTY and torch.device(kwargs.get("device") or "cpu").type == "cpu":
            return func(*args, **{**kwargs, "device": torch.device("meta"), "pin_memory": False})
        if torch.Tag.nondeterministic_seeded in func.tags and args and getattr(args[0], "is_meta", False):
            for shape in _parts(args[0].shape) if func in _DRAWN_IN_PARTS else [args[0].shape]:
                func(torch.empty(shape, dtype=args[0].dtype, device="cpu"), *args[1:], **kwargs)
            return args[0]
        return func(*args, **kwargs)


def _parts(shape: torch.Size) -> list[int]:
    """Sizes of parts that take the random numbers which the whole takes: all but the last are multiples of 16."""
    left, sizes = shape.numel(), []
    while left > _PART + _FEWEST:
        sizes.append(_PART)
        left -= _PART
    return [*sizes, left]


def weightless(config: PreTrainedConfig) -> PreTrainedModel:
    """A causal LM whose weights lie on ``meta``; its buffers hold what they must.

    The random generator is left where it would be if the weights had been made. An architecture that makes weights by
    other means has those.

    Args:
        config: of the text model.
    """
    with _Weightless():
        return AutoModelForCausalLM.from_config(config)


def put_weights(skeleton: nn.Module, source: nn.Module) -> None:
    """Give a text model the weights of another one, which has them too from then on.

    Args:
        skeleton: see :func:`weightless`.
        source: a text model of the same configuration.

    Raises:
        RuntimeError: it has other weights.
    """
    skeleton.load_state_dict(source.state_dict(keep_vars=True), assign=True)
    left = [name for name, buffer in skeleton.named_buffers() if buffer.is_meta]
    held = dict(source.named_buffers())
    for name in left:  # what is no part of a state
        place, _, leaf = name.rpartition(".")
        skeleton.get_submodule(place).register_buffer(leaf, held[name], persistent=False)
