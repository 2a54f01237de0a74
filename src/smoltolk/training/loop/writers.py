"""Those who are told what is logged: TensorBoard, trackio, Weights & Biases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from smoltolk.common.errors import require


class Writer(Protocol):
    """Is told numbers by name."""

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Of a step, counted over all stages."""

    def close(self) -> None:
        """Nothing more comes."""


class TensorBoardWriter:
    """Event files; what a kill left of later steps is purged.

    Args:
        folder: of the run; files lie in ``tensorboard`` in it.
        step: the last one that was trained.
    """

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """See :class:`Writer`."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """See :class:`Writer`."""
        self._writer.close()


class TrackioWriter:
    """A run of trackio, which goes on under its name; steps that a kill undid are there twice, the last ones count.

    Args:
        project, name: of the run.
        settings: what decides it.
    """

    def __init__(self, project: str, name: str, settings: Mapping[str, Any]):
        self._run: Any = require("trackio", "the logger trackio").init(
            project=project, name=name, resume="allow", config=dict(settings), embed=False
        )

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """See :class:`Writer`."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """See :class:`Writer`."""
        self._run.finish()


class WandbWriter:
    """A run of Weights & Biases, which goes on under its name; ``WANDB_MODE=offline`` keeps it on this machine.

    Args:
        folder: of the run; its files lie in ``wandb`` in it.
        project, name: of the run.
        settings: what decides it.
    """

    def __init__(self, folder: Path, project: str, name: str, settings: Mapping[str, Any]):
        folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = require("wandb", "the logger wandb").init(
            project=project, name=name, id=name, dir=str(folder), resume="allow", config=dict(settings)
        )

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """See :class:`Writer`."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """See :class:`Writer`."""
        self._run.finish()


def check_writers(names: Sequence[str]) -> list[str]:
    """Whether they are installed; return what is to be told of it.

    TensorBoard is the default, so where it is not installed the log alone is written.

    Raises:
        MissingExtraError: trackio or wandb is asked for and not there.
    """
    for name in names:
        if name != "tensorboard":
            require(name, f"the logger {name}")
    if "tensorboard" in names and find_spec("tensorboard") is None:
        return ["TensorBoard is not installed (pip install 'smoltolk[log]'): log.jsonl has the same figures"]
    return []


def open_writers(
    names: Sequence[str], folder: Path, project: str, name: str, step: int, settings: Mapping[str, Any]
) -> list[Writer]:
    """Writers by name, see :data:`smoltolk.training.loop.settings.LOGGERS`.

    Args:
        names: which of them.
        folder: of the run.
        project, name: what the run is filed under; no other run has the name.
        step: the last one that was trained.
        settings: what decides the run.
    """
    writers: list[Writer] = []
    if "tensorboard" in names and find_spec("tensorboard") is not None:
        writers.append(TensorBoardWriter(folder, step))
    if "trackio" in names:
        writers.append(TrackioWriter(project, name, settings))
    if "wandb" in names:
        writers.append(WandbWriter(folder, project, name, settings))
    return writers


def numbers_of(entry: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a line of the log by name, those of lists with their place, from 1; no step."""
    found: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, list):
            found |= {f"{name}/{place}": float(one) for place, one in enumerate(value, 1)}
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "step":
            found[name] = float(value)
    return {name: value for name, value in found.items() if math.isfinite(value)}
