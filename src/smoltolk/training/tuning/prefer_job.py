"""Preferences: from a model and pairs of answers to a model that likes the better ones (DPO by TRL)."""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from smoltolk.common.errors import InputError, named, require
from smoltolk.common.files import read_json, write_json
from smoltolk.common.processes import is_main, num_processes
from smoltolk.common.seeds import generator
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.attention import quick_attention
from smoltolk.training.optimization import set_trainable
from smoltolk.training.processes import wait_for_all
from smoltolk.training.stages import StageLog
from smoltolk.training.trainer import Report, Reporter, last_whole_checkpoint
from smoltolk.training.trl_trainers import trl_trainer
from smoltolk.training.tuning.encoding import Encoded
from smoltolk.training.tuning.jobs import DialogueJob
from smoltolk.training.tuning.lora import has_lora
from smoltolk.training.tuning.starting import Start
from smoltolk.training.tuning.turn_rows import PairCollator, PairRows, collate_documents

_EPOCHS = 2.0
_PAIRS_PER_STEP = 16
# Losses of TRL that need no settings of their own.
LOSSES = ("sigmoid", "sigmoid_norm", "ipo", "hinge", "apo_zero", "apo_down", "nca_pair")
_WHOLE = "whole.json"  # as of the trainer of stages: without it a kill cut a checkpoint short
_WRAPPING = ("forward", "_original_forward", "_is_accelerate_prepared")
_IDS_AT_ONCE = 16_384
_REFERENCE = "ref"  # TRL's copy of a LoRA, beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What is optimised.

    Attributes:
        beta: how dearly it is paid to leave the model that it began with.
        loss: one of :data:`LOSSES`; ``sigmoid`` is DPO's own.
        answer_weight: of the better answers' own loss beside it, which keeps them likely.
        hold_out: share of the pairs that are asked about before and after and never learned from.
    """

    beta: float = 0.1
    loss: str = "sigmoid"
    answer_weight: float = 0.0
    hold_out: float = 0.1

    def __post_init__(self) -> None:
        named("a loss", self.loss, dict.fromkeys(LOSSES))
        if not self.beta > 0 or self.answer_weight < 0 or not 0 <= self.hold_out < 1:
            raise InputError(
                "beta is above 0, an answer's weight 0 or more, and something is left to learn from",
                f"beta = {self.beta}, answer_weight = {self.answer_weight}, hold_out = {self.hold_out}",
                "give e.g. beta 0.1, hold_out 0.1",
            )


class PreferJob(DialogueJob):
    """Trains on preferences; see :class:`~smoltolk.training.tuning.jobs.DialogueJob`.

    Args:
        args, kwargs: as there.
        preference: what is optimised.

    Raises:
        MissingExtraError: TRL is not installed.
    """

    VERB = "prefer"
    PREFERENCES = True

    def __init__(self, *args: Any, preference: Preference | None = None, **kwargs: Any):
        self.preference = preference or Preference()
        require("trl", "learning from preferences")
        super().__init__(*args, **kwargs)

    def more_of_command(self) -> dict[str, Any]:
        """What is optimised."""
        return {"preference": asdict(self.preference)}

    @property
    def rows_per_step(self) -> int:
        """Pairs of an optimizer step."""
        return self.amount.rows_per_step or _PAIRS_PER_STEP

    @property
    def learning_rate(self) -> float:
        """Small models learn at higher rates, and so do the matrices of a LoRA."""
        full = 3e-5 if self.is_small else 1e-6
        return self.amount.learning_rate or (full if self.lora is None else full * 10)

    @property
    def num_steps(self) -> int:
        """Optimizer steps."""
        if self.amount.steps is not None:
            return self.amount.steps
        return max(1, math.ceil((self.amount.epochs or _EPOCHS) * len(self.parts()[0]) / self.rows_per_step))

    def parts(self) -> tuple[list[Encoded], list[Encoded]]:
        """Pairs to learn from, and those that are held out: which ones, the seed says."""
        encoded = self.open()
        number = round(self.preference.hold_out * len(encoded))
        number = min(max(number, 1), len(encoded) - 1) if self.preference.hold_out else 0
        out = set(generator(self.seed, "hold out").permutation(len(encoded))[:number].tolist())
        return [one for k, one in enumerate(encoded) if k not in out], [encoded[k] for k in sorted(out)]

    def train(self, start: Start, work: Path, report: Report | None) -> tuple[StageLog, dict[str, Any]]:
        """DPO, and the held-out pairs before and after."""
        learned, held_out = self.parts()
        before = _asked_once(work / "before.json", start.model, held_out)
        recipe = self.recipe()
        set_trainable(start.model, recipe.stages[0])
        rows = PairRows(learned, seed=self.seed, num_rows=recipe.num_steps * recipe.rows_per_step)
        with quick_attention(start.model):
            trainer = _trainer(self, start, rows, work, report)
            trainer.resume(work)
        seconds = trainer.seconds
        log = StageLog([entry for entry in trainer.state.log_history if "loss" in entry], seconds)
        del trainer
        for model in (start.model, start.inner):  # what TRL and accelerate put around it
            for name in _WRAPPING:
                model.__dict__.pop(name, None)
        if has_lora(start.model) and _REFERENCE in start.model.peft_config:
            start.model.delete_adapter(_REFERENCE)
        after = preference_accuracy(start.model, held_out)
        return log, {"held_out": len(held_out), "before": before, "after": after}


def preference_accuracy(model: Any, pairs: Sequence[Encoded], batch_size: int = 16) -> dict[str, float]:
    """Share of the pairs whose better answer is likelier than the worse one, as it stands and by its mean over ids.

    Args:
        model: a SmolTolk model, or PEFT's around one; left in the mode that it is in.
        pairs: preferences.
        batch_size: pairs at a time.

    Returns:
        ``accuracy`` and ``accuracy_per_id``, which does not favour the shorter answer; nothing without pairs.
    """
    if not pairs:
        return {}
    total, mean = answer_margins(model, pairs, batch_size)
    return {"accuracy": float(np.mean(total > 0)), "accuracy_per_id": float(np.mean(mean > 0))}


@torch.no_grad()
def answer_margins(model: Any, pairs: Sequence[Encoded], batch_size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """log p(better answer) - log p(worse answer) of each pair, nats, float64 [n]: whole, and of means over ids."""
    inner: SmolTolkForCausalLM = model.get_base_model() if has_lora(model) else model
    training = model.training
    model.eval()
    sums, means = [], []
    for begin in range(0, len(pairs), batch_size):
        some = pairs[begin : begin + batch_size]
        documents = [document for one in some for document in (one.chosen, one.rejected) if document is not None]
        batch = collate_documents(documents, inner.config.id_space)
        spans = batch.pop("spans")
        batch = {name: value.to(inner.device) for name, value in batch.items()}
        labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)
        nll = inner.nll(batch.pop("input_ids"), labels, spans=[span.to(inner.device) for span in spans], **batch)
        total = torch.where(nll.isfinite(), nll, 0.0).double().sum(1).cpu().numpy()
        count = ((labels != -100) & nll.isfinite()).sum(1).clamp(min=1).cpu().numpy()
        sums.append(total[1::2] - total[::2])
        means.append((total / count)[1::2] - (total / count)[::2])
    model.train(training)
    return np.concatenate(sums), np.concatenate(means)


def _asked_once(path: Path, model: Any, pairs: Sequence[Encoded]) -> dict[str, float]:
    """What is known of held-out pairs before training, kept for a run that is gone on with."""
    if not path.is_file():
        found = preference_accuracy(model, pairs)
        if is_main():
            write_json(path, found)
        return found
    return read_json(path)


def _trainer(job: PreferJob, start: Start, rows: PairRows, work: Path, report: Report | None) -> Any:
    recipe, preference = job.recipe(), job.preference
    (stage,) = recipe.stages
    world, cuda = num_processes(), torch.cuda.is_available()
    if recipe.rows_per_step % world:
        raise InputError(
            "the pairs of a step are shared out evenly", f"{recipe.rows_per_step} pairs, {world} processes",
            "change the pairs of a step (--rows-per-step)",
        )  # fmt: skip
    pairs = _pairs_of_a_pass(recipe.rows_per_step // world, max(map(len, job.open())))
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
        seed=job.seed,
        data_seed=job.seed,
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
        processing_class=copy.deepcopy(job.tokenizer),
        callbacks=[Reporter(report)] if report else None,
    )
    made.remove_callback(PrinterCallback)
    return made


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

    class Preferring(trl_trainer("DPOTrainer")):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self.seconds_before, self._begun = 0.0, time.monotonic()

        @property
        def seconds(self) -> float:
            return self.seconds_before + time.monotonic() - self._begun

        def resume(self, folder: Path) -> None:
            checkpoint = last_whole_checkpoint(folder)
            if checkpoint is None:
                self.train()
            else:
                self.seconds_before = float(read_json(checkpoint / _WHOLE)["seconds"])
                self.train(resume_from_checkpoint=str(checkpoint))

        def _get_train_sampler(self, train_dataset: Any = None) -> Sampler:
            return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

        def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
            Trainer._save_checkpoint(self, *args, **kwargs)  # without a card for each
            wait_for_all()
            if self.is_world_process_zero():
                folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
                known = {"step": self.state.global_step, "seconds": round(self.seconds, 2)}
                write_json(folder / _WHOLE, known)
                for old in folder.parent.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
                    if old != folder:
                        shutil.rmtree(old)

    return Preferring
