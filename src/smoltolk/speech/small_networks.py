"""How the small networks of this room are trained and kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from smoltolk.common.devices import multiplies_bfloat16
from smoltolk.common.errors import InputError, NotFoundError, SmolTolkError, first_line
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive

_WARMUP = 0.15  # of the steps
_TOLD = 300  # letters of what torch says about weights that do not fit


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread in the block, or in a function under ``@one_thread()``.

    The networks of this room are so small that threads mostly wait for each other, and on a busy machine for
    much longer than they work. And no result depends on how many threads there are.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# What building a network of wrong numbers raises: found by changing values of good files.
_SENSELESS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)


def fit(
    network: nn.Module,
    loss: Callable[[], Tensor],
    *,
    steps: int,
    learning_rate: float,
    progress: Bar | None = None,
) -> None:
    """Minimise ``loss()`` over the parameters of ``network``; leaves it in evaluation mode.

    AdamW, gradients clipped to norm one, a linear warm-up over 15% of the steps and a cosine down to nothing.

    Args:
        network: trained in place.
        loss: draws a batch and returns its loss; called under bfloat16 autocast where that is fast.
        steps: optimizer steps, at least 1.
        learning_rate: its peak.
        progress: advanced by one per step, notes the loss.

    Raises:
        InputError: ``steps`` below 1, or a loss that is not finite.
    """
    if steps < 1:
        raise InputError("training takes at least one step", f"steps = {steps}", "give a positive number")
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of_peak(step, steps))
    for step in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16("cpu")):
            value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            shown = value.item()
            if not math.isfinite(shown):
                raise InputError("the loss must stay finite", f"{shown} at step {step}", "lower the learning rate")
            if progress is not None:
                progress.note(f"loss {shown:.2f}")
        if progress is not None:
            progress.advance()
    network.eval().requires_grad_(False)


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Torch's generator of its own for ``(seed, *names)``, on the CPU."""
    return torch.Generator().manual_seed(derive(seed, *names) >> 1)


def save_network(directory: Path | str, config: Mapping[str, Any], network: nn.Module) -> None:
    """Write ``config.json`` and ``model.safetensors``; the directory appears whole or not at all."""
    with atomic_directory(directory) as temporary:
        write_json(temporary / "config.json", dict(config))
        weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(weights, temporary / "model.safetensors")


def load_config(directory: Path | str, kinds: tuple[str, ...], what: str) -> dict[str, Any]:
    """Read ``config.json`` and check its ``kind``.

    Args:
        directory: as written by :func:`save_network`.
        kinds: those that are understood.
        what: for the message, e.g. ``"a vocoder"``.

    Raises:
        NotFoundError: no such directory, or no such file in it.
        InputError: not JSON, or another kind.
    """
    if not Path(directory).exists():
        raise NotFoundError(f"{what} is a directory", f"no directory {directory}", "check the path")
    config = read_json(Path(directory) / "config.json")
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind not in kinds:
        raise InputError(
            f"config.json of {what} must have a kind of {', '.join(kinds)}",
            f"kind {kind!r} in {directory}",
            f"point to a directory that holds {what}",
        )
    return config


@contextmanager
def as_saved(directory: Path | str, what: str) -> Iterator[None]:
    """What a ``config.json`` of the right kind but with wrong values makes of building, told as what it is.

    Args:
        directory: as written by :func:`save_network`.
        what: for the message, e.g. ``"a vocoder"``.

    Raises:
        InputError: a value is missing, or makes no sense.
    """
    try:
        yield
    except SmolTolkError:
        raise
    except _SENSELESS as error:
        raise InputError(
            f"the config of {what} must be as it was saved",
            f"{directory}: {type(error).__name__}: {first_line(error)}",
            "fit or copy it again, whole",
        ) from error


def load_weights(directory: Path | str, network: nn.Module) -> None:
    """Fill ``network`` from ``model.safetensors``.

    Raises:
        NotFoundError: no such file.
        InputError: damaged, or other names or shapes than config.json says.
    """
    path = Path(directory) / "model.safetensors"
    if not path.is_file():
        raise NotFoundError("weights must lie beside config.json", f"no file {path}", "fit or copy it again, whole")
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(
            "model.safetensors must hold what config.json says",
            f"{path}: {' '.join(str(error).split())[:_TOLD]}",  # torch names every tensor
            "fit or copy it again, whole",
        ) from error


def check_same(what: str, stored: str, computed: str) -> None:
    """Compare fingerprints of files that belong together.

    Raises:
        InputError: they differ.
    """
    if stored != computed:
        raise InputError(
            f"config.json and model.safetensors of {what} must belong together",
            f"the weights give fingerprint {computed[:16]}, config.json says {stored[:16]}",
            "fit or copy it again, whole",
        )


def share_of_peak(step: int, steps: int) -> float:
    """Learning rate of a step as a share of its peak: a linear warm-up over 15%, a cosine down to nothing."""
    warmup = max(1.0, _WARMUP * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))
