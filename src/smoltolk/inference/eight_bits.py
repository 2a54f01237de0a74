"""Weights of eight bits, for models that would not fit into memory otherwise."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import nn

from smoltolk.common.errors import require
from smoltolk.common.noise import silence_noise

PACKAGE, PURPOSE = "torchao", "weights of eight bits"


def in_eight_bits(model: Any) -> Any:
    """The model with the weights of its linear layers in int8, a scale for each output; changed in place.

    Tables of embeddings stay as they are, and so do heads that share them. Activations stay in the model's type.

    Raises:
        MissingExtraError: torchao is not installed.
    """
    silence_noise()
    require(PACKAGE, PURPOSE)
    quantization = import_module("torchao.quantization")
    tied = {parameter.data_ptr() for module in model.modules() if isinstance(module, nn.Embedding)
            for parameter in module.parameters()}  # fmt: skip

    def is_linear(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and module.weight.data_ptr() not in tied

    quantization.quantize_(model, quantization.Int8WeightOnlyConfig(), filter_fn=is_linear)
    return model
