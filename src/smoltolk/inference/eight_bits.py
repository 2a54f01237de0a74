"""Weights of eight bits, for models that would not fit into memory otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from torch import nn

from smoltolk.common.errors import require

PACKAGE, PURPOSE = "torchao", "weights of eight bits"


def in_eight_bits(model: Any) -> Any:
    """The model with the weights of its linear layers in int8, a scale for each output; changed in place.

    Tables of embeddings stay as they are, and so do heads that share them. Activations stay in the model's type.

    Raises:
        MissingExtraError: torchao is not installed.
    """
    with _no_word_of_kernels():
        require(PACKAGE, PURPOSE)
        quantization = import_module("torchao.quantization")
    tied = {parameter.data_ptr() for module in model.modules() if isinstance(module, nn.Embedding)
            for parameter in module.parameters()}  # fmt: skip

    def is_linear(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and module.weight.data_ptr() not in tied

    quantization.quantize_(model, quantization.Int8WeightOnlyConfig(), filter_fn=is_linear)
    return model


@contextmanager
def _no_word_of_kernels() -> Iterator[None]:
    """When it is imported torchao warns of each kernel that was not built for this machine; none of them is needed."""
    logger = logging.getLogger(PACKAGE)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
