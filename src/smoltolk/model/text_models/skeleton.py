"""A text model without weights: made for those of another one to be put in, so that memory never holds both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

_EMPTY = torch.ops.aten.empty.memory_format
_DRAWN_IN_PARTS = (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default)
_PART, _FEWEST = 1 << 16, 16  # numbers at a time; torch draws fewer than 16 in another way


class _Step(NamedTuple):
    """Something that was done to a tensor in place: where, in which random state, and what."""

    place: Tensor
    state: Tensor | None
    do: Callable[[Tensor], Any]


class _Weightless(TorchDispatchMode):
    """Memory for weights is not taken (they lie on ``meta``), yet all random numbers are drawn that they would need.

    So whatever is made next with the same seed is the same as behind a text model that has weights. A tensor's numbers
    are drawn into memory that is let go at once.

    Args:
        remembers: keep what is done to each tensor, so that some can be made after all.

    Attributes:
        written: what was done to each tensor, by its storage.
        derives: whether one of them was given what another without weights would hold, which nobody remembers.
    """

    def __init__(self, *, remembers: bool = False):
        super().__init__()
        self._remembers = remembers
        self.written: dict[int, list[_Step]] = {}
        self.derives = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._remembers and args and getattr(args[0], "is_meta", False) and _writes(func):
            state = torch.get_rng_state() if torch.Tag.nondeterministic_seeded in func.tags else None
            step = _Step(args[0], state, lambda into: func(into, *args[1:], **kwargs))
            self.written.setdefault(args[0].untyped_storage()._cdata, []).append(step)
            self.derives |= any(isinstance(one, Tensor) and one.is_meta for one in (*args[1:], *kwargs.values()))
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


def _writes(func: Any) -> bool:
    alias = func._schema.arguments[0].alias_info if func._schema.arguments else None
    return alias is not None and alias.is_write


def weightless(config: PreTrainedConfig) -> PreTrainedModel:
    """A causal LM whose weights lie on ``meta``; its buffers hold what they must.

    The random generator is left where it would be if the weights had been made. An architecture that makes weights by
    other means has those.

    Args:
        config: of the text model.
    """
    with _Weightless():
        return AutoModelForCausalLM.from_config(config)


def partly_weightless(
    config: PreTrainedConfig, dtype: torch.dtype
) -> tuple[PreTrainedModel, Callable[[nn.Module], None]]:
    """The same, and what gives a part of it the weights that it would have been made with.

    An architecture that computes some of its first weights from others, as state spaces do, is made with all of them.

    Args:
        config: of the text model.
        dtype: of its weights.
    """
    before = torch.get_rng_state()
    with _Weightless(remembers=True) as mode:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    unknown = (one for one in model.parameters() if one.is_meta and one.untyped_storage()._cdata not in mode.written)
    if mode.derives or any(True for _ in unknown):
        torch.set_rng_state(before)
        return AutoModelForCausalLM.from_config(config, dtype=dtype), lambda part: None

    @torch.no_grad()
    def make(part: nn.Module) -> None:
        for module in part.modules():
            for name, value in module.named_parameters(recurse=False):
                if value.is_meta:
                    steps = mode.written.get(value.untyped_storage()._cdata, [])
                    module.register_parameter(name, nn.Parameter(_made(value, steps), value.requires_grad))

    return model, make


def _made(value: Tensor, steps: Sequence[_Step]) -> Tensor:
    """A tensor to which was done what was done to another one that lies on ``meta``."""
    made = torch.zeros_like(value, device="cpu")
    with torch.random.fork_rng(devices=[]):
        for place, state, do in steps:
            if state is not None:
                torch.set_rng_state(state)
            do(made.as_strided(place.shape, place.stride(), place.storage_offset()))
    return made


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
