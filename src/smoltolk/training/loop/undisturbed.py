"""Measuring in the middle of a training without leaving a trace in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """A block without gradients in which a model evaluates; random states and the modes of its modules come back.

    Args:
        model: in training.
    """
    training = [(module, module.training) for module in model.modules()]
    drawn_by_python, drawn_by_numpy = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            model.eval()
            yield
    finally:
        if isinstance(model, FSDPModule):  # a forward pass gathers what a backward pass would share out again
            model.reshard()
        for module, mode in training:
            module.training = mode
        random.setstate(drawn_by_python)
        np.random.set_state(drawn_by_numpy)


def summed(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes; it changes in place where there are several."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(tensor)
    return tensor


def device_of(model: nn.Module) -> torch.device:
    """Where its parameters lie."""
    return next(model.parameters()).device
