"""What trains, how fast, and what decays."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.layers import layer_parameter_names
from smoltolk.training.recipe import Group, Recipe, Stage
from smoltolk.training.tuning.lora import has_lora, lora_parameters


def groups_of(model: nn.Module) -> dict[str, Group]:
    """The group of each parameter, by its name: see :data:`smoltolk.training.recipe.Group`.

    Args:
        model: a SmolTolk model, or PEFT's around one; or any other, which is backbone but for its tables.
    """
    speech = set(model.speech_parameters()) if isinstance(model, SmolTolkForCausalLM) else set()
    if has_lora(model):
        speech = set(lora_parameters(model, everything=False))
    tables = _tables(model)

    def group(name: str, parameter: nn.Parameter) -> Group:
        if name in speech:
            return "speech"
        return "text_tables" if id(parameter) in tables else "backbone"

    return {name: group(name, parameter) for name, parameter in model.named_parameters()}


def _tables(model: nn.Module) -> set[int]:
    if not isinstance(model, PreTrainedModel):
        return set()
    modules = (model.get_input_embeddings(), model.get_output_embeddings())
    return {id(parameter) for module in modules if module is not None for parameter in module.parameters()}


def rate_factors(model: nn.Module, stage: Stage, layer_decay: float = 1.0) -> dict[str, float]:
    """By name, what the stage's rate is multiplied by for each parameter; 0: it does not train.

    Args:
        model: as for :func:`groups_of`. Of a text model by itself everything trains, at the factors of its groups; of a
            model with a LoRA the LoRA, and what is trained whole beside it.
        stage: whose factors.
        layer_decay: as of :class:`~smoltolk.training.recipe.Recipe`.
    """
    groups = groups_of(model)
    if has_lora(model):
        trained = lora_parameters(model)
        return {name: stage.factor(group) if name in trained else 0.0 for name, group in groups.items()}
    if not isinstance(model, SmolTolkForCausalLM):
        return {name: stage.factors.get(group, 1.0) for name, group in groups.items()}
    may_train = model.trainable_parameters()
    found = {name: stage.factor(group) if name in may_train else 0.0 for name, group in groups.items()}
    if layer_decay < 1:
        for name, depth in _depths(model).items():
            if groups[name] != "speech":
                found[name] *= layer_decay**depth
    return found


def _depths(model: SmolTolkForCausalLM) -> dict[str, int]:
    """How many layers of the text model, its own, lie above each of its parameters; above its embedding all do."""
    new = set(model.config.new_layers or ())
    own = [place for place in range(model.config.num_layers) if place not in new]
    depths = {
        f"backbone.{name}": len(own) - number
        for number, place in enumerate(own, 1)
        for name in layer_parameter_names(model.backbone, [place])
    }
    embedding = {id(parameter) for parameter in model.get_input_embeddings().parameters()}
    return depths | {name: len(own) for name, parameter in model.named_parameters() if id(parameter) in embedding}


def set_trainable(model: nn.Module, stage: Stage) -> list[str]:
    """Freeze all that the stage does not train; return the names of what it trains."""
    factors = rate_factors(model, stage)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(factors[name] > 0)
    return [name for name, factor in factors.items() if factor > 0]


def parameter_groups(model: nn.Module, recipe: Recipe, stage: Stage) -> list[dict]:
    """What trains, parted by rate and decay: matrices decay; biases, gains and mixing weights do not.

    Of each kind of decay those at the stage's own rate stand first: where all are, there are two groups.
    """
    factors = rate_factors(model, stage, recipe.layer_decay)
    trained = [(factors[name], parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = []
    for is_matrix in (True, False):
        kind = [(factor, parameter) for factor, parameter in trained if (parameter.ndim >= 2) == is_matrix]
        for rate in sorted({factor for factor, _ in kind}, key=lambda factor: (factor != 1, -factor)):
            groups.append(
                {
                    "params": [parameter for factor, parameter in kind if factor == rate],
                    "lr": stage.learning_rate * rate,
                    "weight_decay": recipe.weight_decay if is_matrix else 0.0,
                }
            )
    return groups


def build_optimizer(model: nn.Module, recipe: Recipe, stage: Stage) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """A fresh AdamW with the stage's schedule."""
    optimizer = AdamW(parameter_groups(model, recipe, stage), lr=stage.learning_rate, betas=recipe.betas, fused=True)
    return optimizer, LambdaLR(optimizer, stage.rate_at)
