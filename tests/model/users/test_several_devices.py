"""A model whose parts lie on several GPUs, as ``device_map="auto"`` lays them out, computes what it computes on one.

The GPUs are played on a CPU: numbers are real, and each tensor has a device that nothing but a move changes. What torch
refuses on real devices is refused: an operation on tensors of several devices, but for numbers (0-d) of the CPU, its
indices, and copies.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from smoltolk.model.modeling import SmolTolkForCausalLM

_CPU = torch.device("cpu")
_MOVES = (Tensor.to, Tensor.cpu, Tensor.cuda)
_INDEXED = (Tensor.__getitem__, Tensor.__setitem__, Tensor.copy_)


class Devices(TorchFunctionMode):
    """While it is active, tensors are where they were placed, or made of what is there."""

    def __init__(self) -> None:
        super().__init__()
        self._places: Any = WeakTensorKeyDictionary()

    def place(self, tensor: Tensor, device: str) -> Tensor:
        """Say where a tensor is."""
        self._places[tensor] = torch.device(device)
        return tensor

    def of(self, tensor: Tensor) -> torch.device:
        """Where it is."""
        return self._places.get(tensor, _CPU)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func == Tensor.device.__get__:
            return self.of(args[0])
        if func == Tensor.is_cuda.__get__:
            return self.of(args[0]).type == "cuda"
        if getattr(func, "__name__", "") == "__get__":
            return self._placed(func(*args, **kwargs), self.of(args[0]))
        if func in _MOVES:
            return self._move(func, args, kwargs)
        tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        device = kwargs.get("device")
        if device is not None:
            kwargs["device"] = _CPU
            where = torch.device(device)
        else:
            where = self._common(func, tensors)
        return self._placed(func(*args, **kwargs), where)

    def _common(self, func: Any, tensors: list[Tensor]) -> torch.device:
        if not tensors:
            return _CPU
        if func in _INDEXED:
            return self.of(tensors[0])
        places = [self.of(one) for one in tensors if one.ndim or self.of(one) != _CPU]
        if len(set(places)) > 1:
            raise RuntimeError(f"{getattr(func, '__name__', func)} of tensors on {', '.join(map(str, places))}")
        return places[0] if places else _CPU

    def _move(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        tensor, where = args[0], self.of(args[0])
        rest: list[Any] = []
        for one in args[1:]:
            if isinstance(one, Tensor):
                where = self.of(one)
                rest.append(one.dtype)
            elif isinstance(one, torch.device | str | int):
                where = torch.device(one)
            else:
                rest.append(one)
        if kwargs.get("device") is not None:
            where = torch.device(kwargs.pop("device"))
        if func == Tensor.cpu:
            where = _CPU
        moved = Tensor.to(tensor, *rest, **kwargs) if rest or kwargs else tensor
        if where != self.of(tensor) and moved is tensor:
            moved = tensor.view_as(tensor)
        return self._placed(moved, where)

    def _placed(self, value: Any, where: torch.device) -> Any:
        def place(one: Any) -> Any:
            if isinstance(one, Tensor) and one not in self._places:
                self._places[one] = where
            return one

        return tree_map(place, value)


class _Brings(ModelHook):
    """What accelerate does before a module's call: brings its inputs to where it is."""

    def __init__(self, devices: Devices, device: str):
        self._devices, self._device = devices, device

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple, dict]:
        bring = lambda one: one.to(self._device) if isinstance(one, Tensor) else one  # noqa: E731
        return tree_map(bring, args), tree_map(bring, kwargs)


def dispatch(model: nn.Module, devices: Devices, device_of: dict[str, str]) -> None:
    """Place the modules of a device map, with hooks as accelerate has them, on them and on what is in them."""
    for name, device in device_of.items():
        part = model.get_submodule(name)
        for value in (*part.parameters(), *part.buffers()):
            devices.place(value, device)
        for module in part.modules():
            if module is part or next(module.parameters(recurse=False), None) is not None:
                add_hook_to_module(module, _Brings(devices, device))


VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "untied": {"tie_speech_embeddings": False, "predict_switch": True},
    "pool of all": {"layer_mix_pool": "all", "layer_mix_norm": True, "speech_residual": False},
    "early fusion": {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False},
}


def units_of(model: SmolTolkForCausalLM) -> list[str]:
    """What accelerate takes apart no further: decoder layers and the like, and what has parameters of its own."""
    found: list[str] = []
    for name, part in model.named_modules():
        whole = type(part).__name__ in model._no_split_modules
        owns = [*part.parameters(recurse=False), *part.buffers(recurse=False)]
        if name and (whole or owns) and not any(name.startswith(f"{other}.") for other in found):
            found.append(name)
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("turn", [2, 3])
@torch.no_grad()
def test_parts_that_take_turns_on_devices_compute_the_same(
    turn: int, variant: str, make_model: Callable[..., SmolTolkForCausalLM], write: Callable[..., Tensor],
    assert_close: Callable, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 1 << 30))
    model = make_model(**VARIANTS[variant])
    ids = write(model.config.id_space, "tttsuuuustttsuu", "uuuusttttsuuust")
    expected = [model(ids, labels=ids), model(ids, use_cache=True), model(ids)]
    moved, devices = copy.deepcopy(model), Devices()
    places = itertools.cycle(f"cuda:{number}" for number in range(turn))
    dispatch(moved, devices, dict(zip(units_of(moved), places, strict=False)))
    with devices:
        inputs = devices.place(ids.clone(), "cuda:0")
        found = [moved(inputs, labels=inputs), moved(inputs, use_cache=True), moved(inputs)]
    assert_close(found[0].loss, expected[0].loss)
    for one, other in zip(found, expected, strict=True):
        assert_close(one.logits, other.logits)


def test_the_play_refuses_what_devices_refuse() -> None:
    devices = Devices()
    with devices:
        one, other = (devices.place(torch.ones(3), f"cuda:{number}") for number in range(2))
        assert devices.of(2 * one) == devices.of(torch.zeros(2, device=one.device)) == torch.device("cuda:0")
        assert devices.of(one.to(other)) == torch.device("cuda:1") and devices.of(one) == torch.device("cuda:0")
        with pytest.raises(RuntimeError, match="cuda:0, cuda:1"):
            _ = one + other
        assert torch.equal(nn.functional.relu(one.to(other.device) + other), 2 * other)
