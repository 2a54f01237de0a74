"""How many rows a device has memory for, found out by a training step."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from smoltolk.common.errors import InputError
from smoltolk.common.processes import num_processes
from smoltolk.training.hardware import Hardware

_STATES = 2  # numbers that AdamW keeps for each number that it trains


def largest_that_fits(share: int, fits: Callable[[int], bool]) -> int:
    """The most rows of a pass that fit: all of a share, or half as many, and so on.

    Args:
        share: rows of a step that each device has; a pass has a divisor of it.
        fits: tries so many rows.

    Raises:
        InputError: not even one row fits.
    """
    rows = share
    while not fits(rows):
        if rows == 1:
            raise InputError(
                "a device has memory for a row",
                "a pass over a single one runs out of it",
                "take shorter rows, hardware.gradient_checkpointing=true, hardware.fsdp=true or a smaller model",
            )
        half = rows // 2
        rows = max(divisor for divisor in range(1, half + 1) if share % divisor == 0)
    return rows


def rows_by_trial(
    model: nn.Module,
    dataset: Dataset,
    collate: Callable[[Sequence[Any]], dict],
    hardware: Hardware,
    share: int,
) -> int:
    """Rows of a pass on a GPU, tried with the first rows of a training; nothing of it is kept.

    Beside a pass, forward and backward, there must be room for gradients, for the optimizer, and where several
    processes have copies of the model for what they exchange.

    Args:
        model: on any device; is on the GPU afterwards.
        dataset, collate: of the training.
        hardware: how it computes.
        share: rows of a step that each device has.

    Raises:
        InputError: not even one row fits.
    """
    device = torch.device("cuda", torch.cuda.current_device())
    model.to(device)
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    beside = (_STATES + (num_processes() > 1)) * trained

    def fits(rows: int) -> bool:
        did = _try(model, dataset, collate, hardware, device, rows, beside)
        if num_processes() > 1:  # all take as many
            fewest = torch.tensor(int(did), device=device)
            torch.distributed.all_reduce(fewest, torch.distributed.ReduceOp.MIN)
            did = bool(fewest)
        return did

    was_training = model.training
    try:
        return largest_that_fits(share, fits)
    finally:
        model.train(was_training)


def _try(
    model: nn.Module,
    dataset: Dataset,
    collate: Callable[[Sequence[Any]], dict],
    hardware: Hardware,
    device: torch.device,
    rows: int,
    beside: int,
) -> bool:
    batch = _on(device, collate([dataset[number] for number in range(rows)]))
    try:
        _step(model, batch, hardware, torch.empty(beside, dtype=torch.uint8, device=device))
    except torch.OutOfMemoryError:
        return False
    finally:
        model.zero_grad(set_to_none=True)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return True


def _step(model: nn.Module, batch: dict[str, Any], hardware: Hardware, beside: torch.Tensor) -> None:
    """Forward and backward, twice: the second time gradients are there, and what else lies beside."""
    model.train()
    for _ in range(2):
        with torch.autocast(beside.device.type, torch.bfloat16, enabled=hardware.autocast):
            loss = model(**batch).loss
        loss.backward()


def _on(device: torch.device, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _on(device, one) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_on(device, one) for one in value)
    return value.to(device) if hasattr(value, "to") else value
