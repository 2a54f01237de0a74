"""Files of ``torch.save``, read without running what they hold."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from smoltolk.common.errors import InputError, NotFoundError, first_line

# What torch's own reader of tensors raises on damaged bytes, found by changing bytes of good files.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def read_torch(path: Path | str, fix: str = "copy it again, whole; files that hold code are refused") -> Any:
    """What ``torch.save`` wrote: tensors on the CPU, numbers, texts and containers of them; no code can hide in it.

    Args:
        path: of the file.
        fix: what to do about another file.

    Raises:
        NotFoundError: no such file.
        InputError: damaged, or it holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("a checkpoint must exist", f"no file {path}", "correct the path")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise InputError(
            "a checkpoint must be a torch.save file of plain data: tensors, numbers, texts, dicts",
            f"{path}: {first_line(error)}",
            fix,
        ) from error
