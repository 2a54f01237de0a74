"""How many rows a device has memory for, found out by a training step."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device
from accelerate.utils.memory import should_reduce_batch_size
from torch import nn
from torch.utils.data import Dataset

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_json
from smoltolk.common.processes import is_main, num_processes
from smoltolk.training.hardware import Hardware
from smoltolk.training.processes import said_by_first

_STATES = 2  # numbers that AdamW keeps for each number that it trains
_KEPT = "rows_of_a_pass.json"


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
    folder: Path,
) -> int:
    """Rows of a pass, tried with the first rows of a training; nothing but their number is kept.

    Beside a pass, forward and backward, there must be room for gradients, for the optimizer, and where several
    processes have copies of the model for what they exchange. The number is written down: a training that was
    interrupted goes on with it, to the bit, where it has as many rows a device and the same device.

    Args:
        model: on any device; is where it computes afterwards.
        dataset, collate: of the training.
        hardware: how it computes.
        share: rows of a step that each device has.
        folder: of the stage.

    Raises:
        InputError: not even one row fits.
    """
    device = torch.device("cuda", torch.cuda.current_device()) if hardware.kind == "cuda" else torch.device("cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    found_for = {"rows_of_a_device": share, "device": name, "hardware": asdict(hardware.decided())}
    kept = folder / _KEPT
    known = read_json(kept) if is_main() and kept.is_file() else {}
    rows = said_by_first(known["rows"] if known.get("found_for") == found_for else 0, device)
    if not rows:
        model.to(device)
        rows = _found(model, share, device, partial(_try, model, dataset, collate, hardware, device))
        if is_main():
            write_json(kept, {"rows": rows, "found_for": found_for})
            print(f"  note: {rows} rows a pass fit, found by trial", file=sys.stderr, flush=True)
    return rows


def _found(model: nn.Module, share: int, device: torch.device, tried: Callable[[int, int], bool]) -> int:
    """The most rows that fit, of all processes together; ``tried`` takes rows and the bytes to be left free."""
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    beside = (_STATES + (num_processes() > 1)) * trained

    def fits(rows: int) -> bool:
        did = tried(rows, beside)
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
    batch = send_to_device(collate([dataset[number] for number in range(rows)]), device)
    batch.pop("tasks", None)  # for the log alone
    try:
        _step(model, batch, hardware, torch.empty(beside, dtype=torch.uint8, device=device))
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)):
            raise
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
        with torch.autocast(beside.device.type, torch.bfloat16, enabled=hardware.computes_bfloat16):
            loss = model(**batch).loss
        loss.backward()
