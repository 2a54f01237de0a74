"""What happens around the steps of one stage: lines of the log, validation, kept models, warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from smoltolk.common.processes import is_main, num_processes
from smoltolk.training.loop.gradients import GradientNorms
from smoltolk.training.loop.held_out import HeldOutRows
from smoltolk.training.loop.keeping import Keeper
from smoltolk.training.loop.log import RunLog
from smoltolk.training.loop.settings import Logging
from smoltolk.training.loop.speed import Clock, flops_per_id, memory, peak_of_device
from smoltolk.training.loop.undisturbed import device_of, summed, undisturbed
from smoltolk.training.loop.watch import LoaderWatch, waiting_told
from smoltolk.training.loop.writers import Writer, numbers_of
from smoltolk.training.processes import wait_for_all

_SEEN_SECONDS = 60.0
_TOLD = {
    "speech_nll": "speech", "text_nll": "text", "recognition_wer": "WER of what it writes",
    "synthesis_wer": "WER of what it says",
}  # fmt: skip
# Called with the model, evaluating, and the step, counted over all stages; by every process.
Measure = Callable[[PreTrainedModel, int], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is measured in a stage, and where that goes.

    Attributes:
        settings: of the run.
        log, keeper: of the run.
        writers: opened with the last step that was trained.
        rows: held out; None: nothing is.
        measures: further ones.
        tell: is told a line at each validation.
        warn: is told of what is wrong.
    """

    settings: Logging
    log: RunLog
    keeper: Keeper
    writers: Callable[[int], Sequence[Writer]]
    rows: HeldOutRows | None = None
    measures: Sequence[Measure] = ()
    tell: Callable[[str], None] = field(default=lambda text: None)
    warn: Callable[[str, int], None] = field(default=lambda text, step: None)


class StageLoop(TrainerCallback):
    """Of one stage; call :meth:`close` when it has ended, however it did.

    Args:
        name: of the stage.
        before: steps of the stages before it.
        ids_per_step: of all devices.
        measured: what, and where it goes.
    """

    def __init__(self, name: str, before: int, ids_per_step: int, measured: Measured):
        self._name, self._before, self._ids_per_step, self._of = name, before, ids_per_step, measured
        self._writers: Sequence[Writer] = ()
        self._watch: LoaderWatch | None = None
        self._stepped = self._waited = 0.0
        self._told = False

    def close(self) -> None:
        """End the watch and what is written beside the log."""
        if self._watch is not None:
            self._watch.__exit__()
        for writer in self._writers:
            writer.close()
        self._watch, self._writers = None, ()

    # ------------------------------------------------------------------ what the Trainer calls

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the log where the training takes up its steps."""
        model, step = kwargs["model"], self._before + state.global_step
        if self._of.settings.log_steps is not None:
            state.logging_steps = self._of.settings.log_steps
        if is_main():
            self._of.log.continue_at(step)
        wait_for_all()
        entries = [entry for entry in self._of.log if entry["step"] <= step]
        self._of.keeper.continue_from(entries)
        before = [entry["seconds"] for entry in entries if entry["kind"] == "train"]
        self._clock = Clock(before[-1] if before else 0.0)
        self._norms = GradientNorms(model)
        peak = self._of.settings.peak_flops or peak_of_device()
        # Share of the peak of all devices that an id a second is.
        self._mfu_of_a_rate = None if peak is None else flops_per_id(model) / (peak * num_processes())
        if is_main():
            self._writers = self._of.writers(step)
            self._watch = LoaderWatch(self._clock, lambda text: self._of.warn(text, self._step(state))).__enter__()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The rows are there."""
        self._clock.begin_step()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The gradients are there, clipped."""
        if self._is_logged(state.global_step + 1, args, state):
            self._norms.take()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a line where there is something to tell."""
        self._clock.end_step()
        if self._is_logged(state.global_step, args, state):
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the line; validate; keep the model."""
        if logs is None or "loss" not in logs:
            return
        self._clock.pause()
        model, step = kwargs["model"], self._step(state)
        entry = self._entry("train", step, {**logs, **self._speed(step), **memory()})
        entry |= self._norms.told(logs["grad_norm"]) if "grad_norm" in logs else {}
        self._write(entry)
        if self._is_validated(state.global_step, state):
            entry = self._validate(model, step, args.per_device_train_batch_size)
        if self._of.settings.is_milestone(step):
            self._of.keeper.keep_milestone(model, entry)
        if not control.should_save:
            self._clock.wait()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The checkpoint is written."""
        self._clock.wait()

    # ------------------------------------------------------------------ inside

    def _step(self, state: TrainerState) -> int:
        return self._before + state.global_step

    def _is_validated(self, step: int, state: TrainerState) -> bool:
        every = self._of.settings.eval_steps
        return every is not None and ((self._before + step) % every == 0 or step == state.max_steps)

    def _is_logged(self, step: int, args: TrainingArguments, state: TrainerState) -> bool:
        """A line is a mean since the last one: one before each checkpoint, so that who goes on there has the same."""
        return (
            step % state.logging_steps == 0
            or step % args.save_steps == 0
            or step == state.max_steps
            or self._is_validated(step, state)
            or self._of.settings.is_milestone(self._before + step)
        )

    def _entry(self, kind: str, step: int, figures: Mapping[str, Any]) -> dict[str, Any]:
        told = {name: value for name, value in figures.items() if name != "epoch"}
        return {"step": step, "stage": self._name, "kind": kind, **told}

    def _speed(self, step: int) -> dict[str, float]:
        steps, stepped, waited = self._clock.read()
        rate = steps * self._ids_per_step / (stepped + waited)
        told = {"seconds": self._clock.seconds, "ids_per_second": rate, "waited": waited / (stepped + waited)}
        if self._mfu_of_a_rate is not None:
            told["mfu"] = rate * self._mfu_of_a_rate
        self._warn_of_waiting(stepped, waited, step)
        return told

    def _warn_of_waiting(self, stepped: float, waited: float, step: int) -> None:
        """Once a stage, when enough of it has been seen."""
        self._stepped, self._waited = self._stepped + stepped, self._waited + waited
        if not self._told and self._stepped + self._waited >= _SEEN_SECONDS and is_main():
            told = waiting_told(self._stepped, self._waited, torch.cuda.is_available())
            if told is not None:
                self._told = True
                self._of.warn(told, step)

    def _validate(self, model: PreTrainedModel, step: int, rows_per_pass: int) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        with undisturbed(model):
            if self._of.rows is not None:
                figures |= self._of.rows.measure(model, rows_per_pass)
            for measure in self._of.measures:
                figures |= measure(model, step)
        entry = self._entry("held_out", step, figures)
        self._write(entry)
        # The first process decides for all: it alone may have a figure of what was said.
        decided = torch.tensor([float(is_main() and self._of.keeper.is_best(figures))], device=device_of(model))
        is_best = bool(summed(decided))
        if is_best:
            self._of.keeper.keep_best(model, entry)
        told = [f"{name} {figures[key]:.3f}" for key, name in _TOLD.items() if key in figures]
        self._of.tell(f"step {step}, held out: {', '.join(told)}{' (the best so far)' if is_best else ''}")
        return entry

    def _write(self, entry: Mapping[str, Any]) -> None:
        if not is_main():
            return
        self._of.log.append(entry)
        numbers = {f"{entry['kind']}/{name}": value for name, value in numbers_of(entry).items()}
        for writer in self._writers:
            writer.write(numbers, entry["step"])
