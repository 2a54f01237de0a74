"""Checkpoints that are whole or do not count, for any Trainer whose rows are a function of their number."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_json
from smoltolk.common.processes import num_processes
from smoltolk.common.stopping import WITH_CHECKPOINT, patient, say_resumed
from smoltolk.training.processes import wait_for_all
from smoltolk.training.stops import StopsWithCheckpoint

if TYPE_CHECKING:
    from transformers import Trainer as _Trainer
else:
    _Trainer = object

_WHOLE = "whole.json"  # written last into a checkpoint: without it a kill cut the writing short
_BEGUN = "line.json"  # a line of the log that was begun: what a signal stops is stopped between two of them


class WholeCheckpoints(_Trainer):
    """Put before a Trainer: it reads its rows in order, and goes on from its last whole checkpoint.

    A signal ends it with a checkpoint, which holds the line of the log that was begun too, so that the log is the same
    as if the training had never stopped.

    Args:
        args, kwargs: of the Trainer.

    Attributes:
        seconds_before: of training, before this process took it up.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.seconds_before, self._begun = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Of training, from its first step on, however often it was interrupted."""
        return self.seconds_before + time.monotonic() - self._begun

    def resume(self, folder: Path) -> None:
        """Train from the last whole checkpoint in a folder, from the beginning if there is none."""
        checkpoint = last_whole_checkpoint(folder)
        self.add_callback(_LineTakenUp(self, checkpoint))
        self.add_callback(StopsWithCheckpoint(folder.name))
        with patient(WITH_CHECKPOINT):
            if checkpoint is None:
                self.train()
            else:
                known = read_json(checkpoint / _WHOLE)
                self.seconds_before = float(known["seconds"])
                say_resumed(known["step"], self.args.max_steps, folder.name)
                self.train(resume_from_checkpoint=str(checkpoint))

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)  # type: ignore[arg-type]

    @property
    def _checkpoint(self) -> Path:
        """The checkpoint of this step."""
        return Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"

    def _clear_checkpoint(self) -> None:
        """Take away what a kill left of this step's checkpoint."""
        if self.is_world_process_zero() and self._checkpoint.is_dir():
            shutil.rmtree(self._checkpoint)
        wait_for_all()

    def _mark_checkpoint(self) -> None:
        """Say of this step's checkpoint that it is whole, and clear away those before it."""
        folder = self._checkpoint
        if self._globalstep_last_logged < self.state.global_step:
            line = {"steps": self.state.global_step - self._globalstep_last_logged, **self._line_begun()}
            if self.is_world_process_zero():
                write_json(folder / _BEGUN, line)
        wait_for_all()  # each process writes a part of it
        if self.is_world_process_zero():
            known = {"step": self.state.global_step, "seconds": round(self.seconds, 2)}
            sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
            write_json(folder / _WHOLE, known | {"files": sizes})
            for old in folder.parent.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
                if old != folder:  # not before the new one is whole: a kill may come at any time
                    shutil.rmtree(old)

    def _line_begun(self) -> dict[str, Any]:
        """Sums since the last line of the log, as JSON takes them, over all processes; every process calls it."""
        return {"loss": self.accelerator.reduce(self._tr_loss.clone(), "sum").item() / num_processes()}

    def _take_up_line(self, line: dict[str, Any]) -> None:
        """Go on with a line that was begun."""
        self._globalstep_last_logged = self.state.global_step - line["steps"]
        self._tr_loss += line["loss"]  # the line is a mean over processes


class _LineTakenUp(TrainerCallback):
    def __init__(self, trainer: WholeCheckpoints, checkpoint: Path | None):
        self._trainer, self._checkpoint = trainer, checkpoint

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        if self._checkpoint is not None and (self._checkpoint / _BEGUN).is_file():
            self._trainer._take_up_line(read_json(self._checkpoint / _BEGUN))


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end.

    Raises:
        InputError: since then it has lost something.
    """
    found = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if (path / _WHOLE).is_file()]
    last = max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    for name, size in () if last is None else read_json(last / _WHOLE).get("files", {}).items():
        there = (last / name).stat().st_size if (last / name).is_file() else None
        if there != size:
            raise InputError(
                "a checkpoint stays as it was written",
                f"{last / name} {'is gone' if there is None else f'has {there:,} bytes of {size:,}'}",
                f"bring it back, or delete {last}: the stage then begins anew",
            )
    return last
