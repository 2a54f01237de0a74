"""Models of transformers by hub id or directory: loaded, or a plain word why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from smoltolk.common.errors import InputError, NotFoundError


def best_device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def loading(name: str, what: str) -> Iterator[None]:
    """Turn what transformers raises while a model is loaded into an error for people.

    Args:
        name: hub id or directory.
        what: what is wanted there, e.g. ``"a CTC model with its tokenizer"``.

    Raises:
        NotFoundError: a path that is no directory.
        InputError: anything else that is not there, or does not fit.
    """
    folder = Path(name)
    if not folder.is_dir() and (folder.is_absolute() or name.startswith((".", "~"))):
        raise NotFoundError(f"{what} is a hub id or a directory", f"no directory {folder}", "check the path")
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{name!r} must be {what}", first, "check the name, or save all its parts in one directory"
        ) from error


def check_waveform(waveform: np.ndarray) -> None:
    """Hold a waveform against what models take.

    Raises:
        InputError: no samples, several channels, or samples that are not finite.
    """
    if waveform.ndim != 1 or not waveform.size:
        raise InputError("a waveform is mono [samples]", f"shape {waveform.shape}", "leave out what is empty")
    if not np.isfinite(waveform).all():
        raise InputError("a waveform must be finite", "it has NaN or infinite samples", "look at what made it")
