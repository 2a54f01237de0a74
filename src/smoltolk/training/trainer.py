"""The Hugging Face Trainer with rows in their own order, a loss per modality, and checkpoints that are whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_json
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.training.processes import wait_for_all

# What is told of a line of the log, and how it is called on a terminal.
_LOSSES = {"loss": "loss", "speech_loss": "speech", "text_loss": "text"}
_HELD_OUT = {"held_out_speech_nll": "held-out speech", "held_out_text_nll": "held-out text"}
_WHOLE = "whole.json"  # written last into a checkpoint: without it a kill cut the writing short
Report = Callable[[float, str], None]  # (optimizer steps done, a short text)


class SmolTolkTrainer(Trainer):
    """Rows are a function of their number, so they are read in order: resuming is a number, not a replay.

    The loss of a step, and each part of it in the log, is the same however its rows are shared out among forward
    passes and processes: the model's outputs tell what a part is a mean over.

    Attributes:
        seconds_before: of training, before this process took it up.

    Raises:
        InputError: label smoothing.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.seconds_before, self._begun = 0.0, time.monotonic()
        if self.args.label_smoothing_factor:
            raise InputError(
                "labels cannot be smoothed: no position chooses among all ids, for it knows its modality",
                f"label_smoothing_factor = {self.args.label_smoothing_factor}",
                "leave it at 0",
            )
        # Of each part of the loss since the last log: its sum over what it is a mean of, and how much that was.
        self._sums: dict[str, torch.Tensor] = {}
        self._num_positions: torch.Tensor | None = None  # real ones of the step, all passes and processes

    @property
    def seconds(self) -> float:
        """Of training, from its first step on, however often it was interrupted."""
        return self.seconds_before + time.monotonic() - self._begun

    def resume(self, folder: Path) -> None:
        """Train from the last whole checkpoint in a folder, from the beginning if there is none."""
        checkpoint = last_whole_checkpoint(folder)
        if checkpoint is None:
            self.train()
        else:
            self.seconds_before = float(read_json(checkpoint / _WHOLE)["seconds"])
            self.train(resume_from_checkpoint=str(checkpoint))

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)  # type: ignore[arg-type]

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """The batches of a step and how many ids they predict; and, for the entropy, how many positions are real."""
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._num_positions = None
        if batches and getattr(self.model.config, "model_type", None) == SmolTolkConfig.model_type:
            count = torch.stack([_num_positions(batch) for batch in batches]).sum().to(device)
            self._num_positions = self.accelerator.reduce(count, "sum")
        return batches, num_items

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The model's own loss; its parts are summed for the log, each with the weight of what it is a mean over."""
        if model.training and self._num_positions is not None:
            inputs = {**inputs, "num_positions_in_batch": self._num_positions}
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training and outputs.get("num_positions") is not None:
            self._add_all(outputs)
        return (loss, outputs) if return_outputs else loss

    def _add_all(self, outputs: Any) -> None:
        self._add("text_loss", outputs["text_loss"], outputs["num_text"])
        self._add("speech_loss", outputs["speech_loss"], outputs["num_speech"])
        if outputs.get("codebook_losses") is not None:
            each = zip(outputs["codebook_losses"], outputs["num_per_codebook"], strict=True)
            for codebook, (mean, count) in enumerate(each):
                self._add(f"codebook_{codebook}_loss", mean, count)
        if outputs.get("selector_entropy") is not None:
            self._add("selector_entropy", outputs["selector_entropy"], outputs["num_positions"])

    def _add(self, name: str, mean: torch.Tensor, count: torch.Tensor) -> None:
        added = torch.stack([mean.detach().float() * count, count.float()])
        self._sums[name] = self._sums.get(name, torch.zeros_like(added)) + added

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean of each part of the loss since the last log, over all processes."""
        if "loss" in logs:
            for name, sums in self._sums.items():
                total, count = self.accelerator.reduce(sums, "sum").tolist()
                if count:  # else no such id was predicted
                    logs[name] = total / count
            self._sums = {}
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        wait_for_all()  # each process writes a part of it
        if self.is_world_process_zero():
            name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            known = {"step": self.state.global_step, "seconds": round(self.seconds, 2)}
            write_json(Path(self.args.output_dir) / name / _WHOLE, known)
            for old in Path(self.args.output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
                if old.name != name:  # not before the new one is whole: a kill may come at any time
                    shutil.rmtree(old)


def _num_positions(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    mask = batch.get("attention_mask")
    return torch.tensor(batch["input_ids"].numel()) if mask is None else mask.sum()


class LinesBeforeCheckpoints(TrainerCallback):
    """Logs a line before each checkpoint, wherever that is.

    A line is a mean over the steps since the last one. Whoever goes on from a checkpoint begins a new one there, and so
    does a training that was not disturbed.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The Trainer has decided by now whether it saves."""
        control.should_log = control.should_log or control.should_save


class Reporter(TrainerCallback):
    """Tells of every step.

    Args:
        report: called with the steps done and the last losses.
    """

    def __init__(self, report: Report):
        self._report, self._note = report, ""
        self._held_out: list[str] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        """Keep the losses; those that are held out until the next ones."""
        if logs and "loss" in logs:
            self._held_out = _told(logs, _HELD_OUT) or self._held_out
            self._note = ", ".join(_told(logs, _LOSSES) + self._held_out)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report."""
        self._report(state.global_step, self._note)


def _told(logs: dict, names: dict[str, str]) -> list[str]:
    return [f"{short} {logs[name]:.3f}" for name, short in names.items() if name in logs]


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    found = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if (path / _WHOLE).is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
