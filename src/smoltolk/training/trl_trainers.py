"""Trainers of TRL (supervised fine-tuning, DPO and others that score labels) for a model of two heads.

TRL puts a head of its own before ``forward``: one state times one matrix, ``lm_head.weight``, and one softmax. A
SmolTolk model has two of each, so here its own heads answer in TRL's place. All the rest is TRL's.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError, require
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.loss import IGNORE, Statistic
from smoltolk.model.modeling import SmolTolkForCausalLM

_TOKENIZED = {"prompt_ids", "chosen_ids", "rejected_ids"}


def trl_trainer(name: str) -> type:
    """A trainer of TRL, used as TRL documents it::

        DPOTrainer = trl_trainer("DPOTrainer")
        DPOTrainer(model, args=DPOConfig(...), train_dataset=pairs, processing_class=tokenizer).train()

    ``processing_class`` is the tokenizer of the text. Speech comes as ids: of supervised fine-tuning in a column
    ``input_ids``, of DPO in ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``. The loss is TRL's alone, without the
    selector's entropy.

    Args:
        name: ``SFTTrainer``, ``DPOTrainer`` or another that scores labels.

    Raises:
        MissingExtraError: TRL is not installed.
        InputError: TRL has no such trainer, or one that needs more than scores of labels.
    """
    base = getattr(require("trl", "a trainer of TRL"), name, None)
    module = sys.modules.get(getattr(base, "__module__", ""))
    if not isinstance(base, type) or not hasattr(module, "add_fused_lm_head"):
        raise InputError(
            "TRL's trainers can be used that score the labels they are given",
            f"{name!r} of TRL is none" if base is not None else f"TRL has no {name!r}",
            "name SFTTrainer or DPOTrainer",
        )

    class Trainer(base):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **kwargs: Any):
            with _own_heads(module):
                super().__init__(*args, **kwargs)

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            columns = getattr(dataset, "column_names", None) or ()
            return dataset if set(columns) >= _TOKENIZED else super()._prepare_dataset(dataset, *args, **kwargs)

        def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Any:
            """Count labels, after those that no head predicts have been taken out."""
            config = self.accelerator.unwrap_model(self.model).config
            for batch in batch_samples:
                if "labels" in batch and isinstance(config, SmolTolkConfig):
                    batch["labels"] = _without_control_ids(batch["labels"], config)
            return super()._get_num_items_in_batch(batch_samples, device)

    Trainer.__name__ = Trainer.__qualname__ = name
    return Trainer


def _without_control_ids(labels: Tensor, config: SmolTolkConfig) -> Tensor:
    never = (labels >= config.id_space.num_text) & (labels < config.speech_offset)
    if config.predict_switch:
        never = never & (labels != config.switch_id)
    return labels.masked_fill(never, IGNORE)


@contextmanager
def _own_heads(module: Any) -> Iterator[None]:
    """While a trainer is made, what would give a model TRL's head gives it its own."""
    theirs = module.add_fused_lm_head

    def add(model: PreTrainedModel, *args: Any, **kwargs: Any) -> None:
        (_add_own if isinstance(model, SmolTolkForCausalLM) else theirs)(model, *args, **kwargs)

    module.add_fused_lm_head = add
    try:
        yield
    finally:
        module.add_fused_lm_head = theirs


def _add_own(
    model: SmolTolkForCausalLM,
    temperature: float = 1.0,
    cast_lm_head_to_fp32: bool = False,  # logits are taken in float32 always
    outputs: tuple[str, ...] = ("log_probs",),
) -> None:
    """Give the model's ``forward`` what ``trl.trainer.utils.add_fused_lm_head`` does, its arguments and its results."""
    fields = require("trl.trainer.utils", "a trainer of TRL").FusedCausalLMOutput
    plain: Callable[..., Any] = model.forward
    statistic = _statistic(temperature, outputs)

    @functools.wraps(type(model).forward)  # Trainers look at its arguments
    def forward(
        self: SmolTolkForCausalLM,
        *args: Any,
        fused_lm_head: bool = False,
        labels: Tensor | None = None,
        shift_labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> Any:
        if shift_labels is not None:
            raise InputError(
                "labels lie beside the ids, for ids say which softmax predicts them",
                "shift_labels, as context and sequence parallelism pass them",
                "train without them",
            )
        if not fused_lm_head:
            return plain(*args, labels=labels, num_items_in_batch=num_items_in_batch, **kwargs)
        if kwargs.pop("output_router_logits", False):
            raise InputError(
                "scores of labels leave out the loss that balances a mixture of experts",
                "output_router_logits=True, which TRL sets where router_aux_loss_coef is not 0",
                "give the trainer router_aux_loss_coef=0.0",
            )
        output = plain(*args, labels=labels, output_nll=statistic, **kwargs)
        found = output.nll[:, 1:]
        predicted = found[..., -1].isfinite() & (found[..., -1] > 0)
        found = torch.where(predicted[..., None], found, 0.0)
        codebooks = found[..., -1].clamp(min=1)
        each = dict(zip(_FIELDS, found.unbind(-1), strict=False))
        each["mean_logits"], each["is_top1"] = each["mean_logits"] / codebooks, each["is_top1"] == found[..., -1]
        each["is_top1"] = each["is_top1"] & predicted
        count = predicted.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        return fields(
            loss=-each["log_probs"].sum() / count,
            label_mask=predicted,
            **{name: value if name in ("log_probs", *outputs) else None for name, value in each.items()},
        )

    model.forward = types.MethodType(forward, model)  # type: ignore[method-assign]


_FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


def _statistic(temperature: float, outputs: tuple[str, ...]) -> Statistic:
    """What TRL asks of each label, [n, 6]: :data:`_FIELDS`, those not in ``outputs`` 0, and 1 where one is asked."""

    def statistic(logits: Tensor, wanted: Tensor) -> Tensor:
        scores = logits.float() / temperature
        log_probs = scores.log_softmax(-1)
        column = wanted.clamp(min=0)[:, None]
        makers: dict[str, Callable[[], Tensor]] = {
            "log_probs": lambda: log_probs.gather(-1, column)[:, 0],
            "entropy": lambda: -(log_probs.exp() * log_probs).sum(-1),
            "log_sum_sq_probs": lambda: (2 * log_probs.detach()).logsumexp(-1),
            "mean_logits": lambda: scores.detach().mean(-1),
            "is_top1": lambda: (scores.argmax(-1) == wanted).to(scores.dtype),
        }
        nothing = scores.new_zeros(len(wanted))
        found = [make() if name in ("log_probs", *outputs) else nothing for name, make in makers.items()]
        return torch.stack([*found, torch.ones_like(nothing)], dim=-1).masked_fill((wanted == IGNORE)[:, None], 0.0)

    return statistic
