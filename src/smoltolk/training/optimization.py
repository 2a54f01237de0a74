"""What trains, how fast, and what decays."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.tuning.lora import has_lora, lora_parameters


def set_trainable(model: nn.Module, stage: Stage) -> list[str]:
    """Freeze all that the stage does not train; return the names of what it trains.

    A SmolTolk model says what that is: its ``trainable_parameters``; of one with a LoRA that trains, and what is
    trained whole beside it. Of a text model by itself all train.
    """
    trained = dict(model.named_parameters())
    if has_lora(model):
        trained = lora_parameters(model, everything=stage.trainable == "all")
    elif isinstance(model, SmolTolkForCausalLM):
        trained = model.trainable_parameters(everything=stage.trainable == "all")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    return list(trained)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups of what trains: matrices decay; biases, gains and mixing weights do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    others = [parameter for parameter in trained if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def build_optimizer(model: nn.Module, recipe: Recipe, stage: Stage) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """A fresh AdamW with the stage's schedule."""
    groups = parameter_groups(model, recipe.weight_decay)
    optimizer = AdamW(groups, lr=stage.learning_rate, betas=recipe.betas, fused=True)
    return optimizer, LambdaLR(optimizer, stage.rate_at)
