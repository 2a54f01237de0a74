"""DPO by TRL's trainer, with rows in their own order, and checkpoints that are whole."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from smoltolk.common.errors import InputError, require
from smoltolk.common.processes import num_processes
from smoltolk.training.recipe import Recipe
from smoltolk.training.stages import finds_unused
from smoltolk.training.trainer import LinesBeforeCheckpoints, Report, Reporter
from smoltolk.training.trl_trainers import trl_trainer
from smoltolk.training.tuning.lora import has_lora
from smoltolk.training.tuning.settings import Preference
from smoltolk.training.tuning.starting import Start
from smoltolk.training.tuning.turn_rows import PairCollator, PairRows
from smoltolk.training.whole_checkpoints import WholeCheckpoints

_WRAPPING = ("forward", "_original_forward", "_is_accelerate_prepared")
_IDS_AT_ONCE = 16_384
_REFERENCE = "ref"  # TRL's copy of a LoRA, beside it


def preferring_trainer(
    start: Start,
    recipe: Recipe,
    preference: Preference,
    rows: PairRows,
    longest: int,
    tokenizer: Any,
    work: Path,
    *,
    seed: int,
    report: Report | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Any:
    """TRL's trainer for preferences, over the model's own heads; ``resume(work)`` trains.

    Args:
        start: the model; what trains of it is marked. Weights are held against a copy of them, a LoRA against its own.
        recipe: of one stage.
        preference: what is optimised.
        rows: as many as the stage reads.
        longest: ids of the longest dialogue.
        tokenizer: of the text.
        work: for checkpoints.
        seed: of the Trainer.
        report: called after every step.
        callbacks: more of them, of the Trainer.

    Raises:
        InputError: pairs that cannot be shared out evenly.
    """
    (stage,) = recipe.stages
    world, cuda = num_processes(), torch.cuda.is_available()
    if recipe.rows_per_step % world:
        raise InputError(
            "the pairs of a step are shared out evenly", f"{recipe.rows_per_step} pairs, {world} processes",
            "change the pairs of a step (--rows-per-step)",
        )  # fmt: skip
    pairs = _pairs_of_a_pass(recipe.rows_per_step // world, longest)
    losses, weights = [preference.loss], [1.0]
    if preference.answer_weight:
        losses, weights = [*losses, "sft"], [*weights, preference.answer_weight]
    arguments = require("trl", "learning from preferences").DPOConfig(
        output_dir=str(work),
        beta=preference.beta,
        loss_type=losses,
        loss_weights=weights,
        max_length=None,
        max_steps=stage.num_steps,
        per_device_train_batch_size=pairs,
        gradient_accumulation_steps=recipe.rows_per_step // (pairs * world),
        learning_rate=stage.learning_rate,
        warmup_steps=stage.warmup_steps,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=recipe.max_grad_norm,
        adam_beta1=recipe.betas[0],
        adam_beta2=recipe.betas[1],
        bf16=recipe.bf16 and cuda,
        gradient_checkpointing=False,
        use_cpu=not cuda,
        logging_steps=max(1, stage.num_steps // 100),
        save_steps=recipe.save_steps,
        disable_tqdm=True,
        report_to=[],
        ddp_find_unused_parameters=finds_unused(start.model),
        seed=seed,
        data_seed=seed,
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        use_cache=True,
        log_level="error",
    )
    reference = None if has_lora(start.model) else copy.deepcopy(start.model).requires_grad_(False)
    collate = PairCollator(start.config.id_space)
    made = _trainer_class()(
        start.model,
        ref_model=reference,
        args=arguments,
        train_dataset=_numbers(rows),
        data_collator=lambda numbers: collate([rows[one["prompt_ids"]] for one in numbers]),
        processing_class=copy.deepcopy(tokenizer),
        callbacks=[LinesBeforeCheckpoints(), *callbacks, *([Reporter(report)] if report else [])],
    )
    made.remove_callback(PrinterCallback)
    return made


def take_off(start: Start) -> None:
    """Take off, after training, what TRL and accelerate put around a model and beside its LoRA."""
    for model in (start.model, start.inner):
        for name in _WRAPPING:
            model.__dict__.pop(name, None)
    if has_lora(start.model) and _REFERENCE in start.model.peft_config:
        start.model.delete_adapter(_REFERENCE)


def _pairs_of_a_pass(share: int, longest: int) -> int:
    """Pairs of one forward pass: as many as have 16,384 ids and share out those of a process's step evenly."""
    most = max(1, _IDS_AT_ONCE // (2 * longest))
    return max(pairs for pairs in range(1, min(most, share) + 1) if share % pairs == 0)


def _numbers(rows: PairRows) -> Any:
    """TRL takes data sets of Hugging Face alone, with its columns: here they hold the numbers of the rows."""
    numbers = list(range(len(rows)))
    return require("datasets", "learning from preferences").Dataset.from_dict(dict.fromkeys(rows.column_names, numbers))


def _trainer_class() -> type:
    """TRL's, with rows in their own order and checkpoints that are whole."""

    class Preferring(WholeCheckpoints, trl_trainer("DPOTrainer")):  # type: ignore[misc]
        def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
            for metrics in self._metrics.values():  # counted anew where a run is gone on with
                metrics.pop("num_tokens", None)
            super().log(logs, *args, **kwargs)

        def _line_begun(self) -> dict[str, Any]:
            return {**super()._line_begun(), "metrics": self._metrics["train"]}  # TRL has gathered them

        def _take_up_line(self, line: dict[str, Any]) -> None:
            super()._take_up_line(line)
            self._metrics["train"].update(line["metrics"])

        def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
            self._clear_checkpoint()
            Trainer._save_checkpoint(self, *args, **kwargs)  # without a card for each
            self._mark_checkpoint()

    return Preferring
