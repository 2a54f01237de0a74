"""The Hugging Face Trainer with rows in their own order, a loss per modality, and checkpoints that are whole."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer import SCHEDULER_NAME

from smoltolk.common.errors import InputError
from smoltolk.data.rows.loader import TASKS
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.ids import IGNORE
from smoltolk.training.sharding import is_sharded, load_optimizer, load_weights, save_optimizer, whole_state
from smoltolk.training.whole_checkpoints import WholeCheckpoints

_PARTS = ("speech", "text")
Report = Callable[[float, str], None]  # (optimizer steps done, a short text)
Optimization = Callable[[torch.nn.Module], tuple[Optimizer, LRScheduler]]


class SmolTolkTrainer(WholeCheckpoints, Trainer):
    """Rows are a function of their number, so they are read in order: resuming is a number, not a replay.

    The loss of a step, and each part of it in the log, is the same however its rows are shared out among forward
    passes and processes: the model's outputs tell what a part is a mean over. Checkpoints are the same too, whether a
    model is in one process, copied to several or shared out among them (:mod:`smoltolk.training.sharding`).

    Args:
        optimization: makes the optimizer and its schedule for the model as it is trained, which may be shared out by
            then; None: those of the arguments.
        args, kwargs: of the Trainer.

    Raises:
        InputError: label smoothing.
    """

    def __init__(self, *args: Any, optimization: Optimization | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.optimizer: Any
        self._optimization = optimization
        # Nobody else is to wrap it, then.
        self.is_distributed_loading_by_transformers = is_sharded(self.model)
        if self.args.label_smoothing_factor:
            raise InputError(
                "labels cannot be smoothed: no position chooses among all ids, for it knows its modality",
                f"label_smoothing_factor = {self.args.label_smoothing_factor}",
                "leave it at 0",
            )
        # Of each part of the loss since the last log: its sum over what it is a mean of, and how much that was.
        self._sums: dict[str, torch.Tensor] = {}
        self._by_task: torch.Tensor | None = None
        self._watched: torch.Tensor | None = None
        self._num_positions: torch.Tensor | None = None  # real ones of the step, all passes and processes

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimizer, with its schedule."""
        if self._optimization is None or self.optimizer is not None:
            return super().create_optimizer(model)
        optimizer, self.lr_scheduler = self._optimization(self.model if model is None else model)
        self.optimizer = optimizer
        return optimizer

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
        tasks = inputs.get("tasks")
        inputs = {name: value for name, value in inputs.items() if name != "tasks"}
        if model.training and self._num_positions is not None:
            inputs = {**inputs, "num_positions_in_batch": self._num_positions}
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training and outputs.get("num_positions") is not None:
            self._add_all(outputs)
            if tasks is not None:
                self._add_by_task(tasks, inputs["labels"], outputs["label_nll"])
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

    def _add_by_task(self, tasks: torch.Tensor, labels: torch.Tensor, nll: torch.Tensor) -> None:
        """Of each task the NLLs of its text and of its speech, and how many these are: float64 [tasks, 4]."""
        predicted = labels != IGNORE
        predicted[:, 0] = False  # nothing stands before it
        speech = predicted & (labels >= self.model.config.speech_offset)
        places = (predicted & ~speech, speech)
        each = [part.double() for some in places for part in ((nll * some).sum(1), some.sum(1))]
        added = torch.stack(each, 1)
        if self._by_task is None:
            self._by_task = added.new_zeros(len(TASKS), added.shape[1])
        self._by_task.index_add_(0, tasks, added)

    def _told_by_task(self) -> dict[str, float]:
        if self._by_task is None:
            return {}
        table, self._by_task = self.accelerator.reduce(self._by_task, "sum").tolist(), None
        told: dict[str, float] = {}
        for task, (text, num_text, speech, num_speech) in zip(TASKS, table, strict=True):
            told |= {f"{task}/text_loss": text / num_text} if num_text else {}
            told |= {f"{task}/speech_loss": speech / num_speech} if num_speech else {}
        return told

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean of each part of the loss since the last log, over all processes, and of rows of each task."""
        if "loss" in logs:
            self._check_numbers()
            for name, sums in self._sums.items():
                total, count = self.accelerator.reduce(sums, "sum").tolist()
                if count:  # else no such id was predicted
                    logs[name] = total / count
            self._sums = {}
            logs |= self._told_by_task()
        super().log(logs, *args, **kwargs)

    def _line_begun(self) -> dict[str, Any]:
        sums = {name: self.accelerator.reduce(sums, "sum").tolist() for name, sums in self._sums.items()}
        by_task = None if self._by_task is None else self.accelerator.reduce(self._by_task, "sum").tolist()
        return {**super()._line_begun(), "sums": sums, "by_task": by_task}

    def _take_up_line(self, line: dict[str, Any]) -> None:
        super()._take_up_line(line)
        if self.is_world_process_zero():  # the others add what is theirs
            device = self.args.device
            self._sums = {name: torch.tensor(sums, device=device) for name, sums in line["sums"].items()}
            if line["by_task"] is not None:
                self._by_task = torch.tensor(line["by_task"], dtype=torch.float64, device=device)

    # ------------------------------------------------------------------ losses that are no numbers

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As in transformers; what it gives is looked at before the next log or checkpoint."""
        loss = super().training_step(*args, **kwargs)
        self._look_at_later(loss)
        return loss

    def _clip_grad_norm(self, model: torch.nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        self._look_at_later(norm)
        return norm

    def _look_at_later(self, number: torch.Tensor) -> None:
        number = number.detach().float()
        self._watched = number if self._watched is None else self._watched + number  # a GPU is not waited for

    def _check_numbers(self) -> None:
        """Raise InputError if a loss or a gradient since the last look was NaN or infinite: weights are lost then."""
        watched, self._watched = self._watched, None
        if watched is not None and not watched.isfinite():
            raise InputError(
                "losses and gradients are numbers",
                f"{float(watched)} at step {self.state.global_step} or just before, in {self.args.output_dir}",
                "lower the learning rate or lengthen the warm-up; the last checkpoint is from before it",
            )

    @contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Gradients of a model that is shared out are summed over processes once a step, not once a pass."""
        self.model.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self.model.set_requires_gradient_sync(True)

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._check_numbers()  # never a checkpoint of lost weights
        self._clear_checkpoint()
        try:
            super()._save_checkpoint(*args, **kwargs)
        except RuntimeError as error:
            if "PytorchStreamWriter" not in str(error) and "iostream" not in str(error):
                raise
            told = "a file of a checkpoint could not be written to its end"  # torch has no other words for it
            raise OSError(errno.ENOSPC, told, self._checkpoint) from error
        self._mark_checkpoint()

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if not isinstance(self.model, PreTrainedModel):  # PEFT's, which writes what it adds
            super()._save(output_dir, state_dict)
            return
        if is_sharded(self.model):  # all processes have a part of it
            state_dict = whole_state(self.model)
        if self.args.should_save:
            self.model.save_pretrained(output_dir, state_dict=state_dict, save_original_format=False)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        save_optimizer(self.model, self.optimizer, Path(output_dir))
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        if not (isinstance(self.model, PreTrainedModel) and load_weights(self.model, Path(resume_from_checkpoint))):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        load_optimizer(self.model, self.optimizer, Path(checkpoint))
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))
        for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate


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

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        """Keep the losses of both modalities, or the one there is."""
        if logs and "loss" in logs:
            parts = [f"{name} {logs[f'{name}_loss']:.3f}" for name in _PARTS if f"{name}_loss" in logs]
            self._note = ", ".join(parts) or f"loss {logs['loss']:.3f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report."""
        self._report(state.global_step, self._note)
