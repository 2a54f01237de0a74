"""The Hugging Face Trainer with rows in their own order, a loss per modality, and checkpoints that are whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.training.optimization import build_optimizer, set_trainable
from smoltolk.training.recipe import Recipe, Stage

_WHOLE = "whole.json"  # written last into a checkpoint: without it a kill cut the writing short
# Processes a device that make rows ahead of the steps: a GPU would wait for them, a CPU needs its cores for the steps.
# Rows are functions of their number, so that they are the same with any number of processes.
ROW_WORKERS = {"cuda": 2, "cpu": 0}
Report = Callable[[float, str], None]  # (optimizer steps done, a short text)


class SmolTolkTrainer(Trainer):
    """Rows are a function of their number, so they are read in order: resuming is a number, not a replay."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # Of each part of the loss since the last log: its sum over what it is a mean of, and how much that was.
        self._sums: dict[str, torch.Tensor] = {}

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)  # type: ignore[arg-type]

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The model's own loss; its parts are summed for the log, each predicted id with the same weight."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if outputs.get("text_loss") is not None:
            labels, offset = inputs["labels"][:, 1:], self.accelerator.unwrap_model(model).config.speech_offset
            speech, predicted = (labels >= offset).sum(), (labels >= 0).sum()
            self._add("text_loss", outputs["text_loss"], predicted - speech)
            self._add("speech_loss", outputs["speech_loss"], speech)
            books = outputs.get("codebook_losses")
            for codebook, value in enumerate(() if books is None else books):
                self._add(f"codebook_{codebook}_loss", value, speech)
            if outputs.get("selector_entropy") is not None:
                self._add("selector_entropy", outputs["selector_entropy"], speech)
        return (loss, outputs) if return_outputs else loss

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
        folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        write_json(folder / _WHOLE, {"step": self.state.global_step})


class _Reporter(TrainerCallback):
    def __init__(self, report: Report):
        self._report, self._note = report, ""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._note = f"loss {logs['loss']:.3f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._report(state.global_step, self._note)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    found = [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if (path / _WHOLE).is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def run_stage(
    model: PreTrainedModel,
    recipe: Recipe,
    stage: Stage,
    dataset: Dataset,
    collate: Callable[[Sequence[Any]], dict],
    out_dir: Path,
    *,
    speech_names: Collection[str] = (),
    seed: int = 0,
    report: Report | None = None,
    device_rows: int | None = None,
) -> list[dict]:
    """Train one stage, from its last whole checkpoint if it was interrupted.

    Args:
        model: trained in place.
        recipe, stage: what to do.
        dataset: row i at place i, at least ``num_steps * rows_per_step`` of them.
        collate: rows to a batch.
        out_dir: for checkpoints; ``history.json`` is written there at the end.
        speech_names: parameters that a ``speech`` stage trains.
        seed: of the Trainer.
        report: called after every step.
        device_rows: rows a forward pass on each device; gradients are accumulated up to ``rows_per_step``.

    Returns:
        The log: one dict per logged step.

    Raises:
        InputError: rows that cannot be shared out evenly.
    """
    set_trainable(model, stage, speech_names)
    world = num_processes()
    rows = min(device_rows or recipe.rows_per_step, recipe.rows_per_step // world)
    if rows < 1 or recipe.rows_per_step % (rows * world):
        raise InputError(
            "the rows of a step must be a multiple of those of a forward pass times the processes",
            f"{recipe.rows_per_step} rows a step, {rows} a pass, {world} processes",
            "change the rows a pass, or the rows a step",
        )
    cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(out_dir),
        max_steps=stage.num_steps,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=max(1, recipe.rows_per_step // (rows * world)),
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.bf16,
        use_cpu=not cuda,
        logging_steps=max(1, stage.num_steps // 100),
        save_steps=recipe.save_steps,
        save_total_limit=1,
        disable_tqdm=True,
        report_to=[],
        seed=seed,
        data_seed=seed,
        dataloader_num_workers=ROW_WORKERS["cuda" if cuda else "cpu"],
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        use_cache=True,  # written into the model's settings: without it the saved model would decode without a cache
        # Trainer's own clean-up of logs: our report shows them.
        log_level="error",
    )
    trainer = SmolTolkTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=collate,
        optimizers=build_optimizer(model, recipe, stage),
        callbacks=[_Reporter(report)] if report else None,
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_whole_checkpoint(out_dir)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    write_json(out_dir / "history.json", history)
    return history


def save_model(
    model: PreTrainedModel,
    folder: Path,
    extra: dict[str, Any] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Write a model directory that appears whole or not at all.

    Args:
        model: in transformers' own format.
        folder: replaced if it exists.
        extra: what else is known about it, as ``training.json``.
        tokenizer: of its text side.
    """
    with atomic_directory(folder) as temporary:
        model.save_pretrained(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        if extra is not None:
            write_json(temporary / "training.json", extra)


def num_processes() -> int:
    """Processes that ``torchrun`` or ``accelerate`` started for this run; they have no group before the Trainer."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the first of the processes that ``torchrun`` or ``accelerate`` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def save_once(
    model: PreTrainedModel,
    folder: Path,
    extra: dict[str, Any] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """:func:`save_model` in the first process; the others wait for it."""
    if is_main():
        save_model(model, folder, extra, tokenizer)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def load_history(folder: Path) -> list[dict]:
    """The log that :func:`run_stage` left in a stage's directory."""
    return read_json(folder / "history.json")
