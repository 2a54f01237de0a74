"""What moves, how far, and what decays: held against the formula of AdamW (Loshchilov and Hutter 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from smoltolk.training.optimization import build_optimizer, groups_of, parameter_groups, set_trainable
from smoltolk.training.recipe import Recipe, Stage

RATE, DECAY = 0.1, 0.5


def recipe(**changes: object) -> Recipe:
    stage = Stage(name="s", num_steps=10, trainable="all", learning_rate=RATE, warmup_steps=0)
    return Recipe(**{"stages": (stage,), "weight_decay": DECAY, **changes})


class Parts(nn.Module):
    """A matrix, a bias, a gain, and a table of one column."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm, self.table = nn.Linear(3, 2), nn.LayerNorm(2), nn.Embedding(4, 1)


def test_matrices_decay_and_nothing_else() -> None:
    model = Parts()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    plan = recipe()
    optimizer, _ = build_optimizer(model, plan, plan.stages[0])
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        kept = 1 - RATE * DECAY if name in ("linear.weight", "table.weight") else 1.0
        assert torch.allclose(parameter, kept * before[name], rtol=1e-6), name


@pytest.mark.parametrize("betas", [(0.9, 0.95), (0.5, 0.6)])
def test_steps_have_the_recipes_momenta(betas: tuple[float, float]) -> None:
    model = nn.Linear(1, 1, bias=False)
    plan = recipe(weight_decay=0.0, betas=betas)
    optimizer, schedule = build_optimizer(model, plan, plan.stages[0])
    value, first, second = model.weight.item(), 0.0, 0.0
    for step, gradient in enumerate((1.0, -3.0, 0.2), 1):
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimizer.step()
        schedule.step()
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        value -= RATE * (first / (1 - betas[0] ** step)) / ((second / (1 - betas[1] ** step)) ** 0.5 + 1e-8)
        assert model.weight.item() == pytest.approx(value, rel=1e-5)


def test_the_rate_follows_the_stage() -> None:
    model, plan = nn.Linear(1, 1), recipe()
    stage = replace(plan.stages[0], warmup_steps=2, decay_steps=4)
    optimizer, schedule = build_optimizer(model, plan, stage)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([RATE * factor for factor in (0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25)])


def test_a_stage_trains_what_the_model_says(build: Callable, make_text_model: Callable) -> None:
    text_model = make_text_model().requires_grad_(False)
    assert len(set_trainable(text_model, recipe().stages[0])) == len(list(text_model.parameters()))
    assert all(parameter.requires_grad for parameter in text_model.parameters())
    for system in ("late", "early_plus", "inserted"):
        model = build(system)
        plan = recipe()
        trained = set_trainable(model, replace(plan.stages[0], trainable="speech"))
        assert set(trained) == set(model.speech_parameters())
        assert set(trained) == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        everything = set_trainable(model, plan.stages[0])
        assert set(everything) == set(trained if system == "inserted" else dict(model.named_parameters()))


def test_every_parameter_has_a_group(build: Callable, make_text_model: Callable) -> None:
    for system in ("late", "early", "early_plus", "split_top"):
        model = build(system)
        groups = groups_of(model)
        assert {name for name, group in groups.items() if group == "speech"} == set(model.speech_parameters())
        assert [name for name, group in groups.items() if group == "text_tables"] == [
            "backbone.model.embed_tokens.weight"
        ]
        assert groups["control_embed.weight"] == "speech"  # rows of the control ids are ours
    untied = groups_of(make_text_model(tie_word_embeddings=False))
    assert {name for name, group in untied.items() if group == "text_tables"} == {
        "model.embed_tokens.weight", "lm_head.weight"
    }  # fmt: skip


def moved(model: nn.Module, plan: Recipe, stage: Stage) -> dict[str, float]:
    """How far one step moves each parameter, on gradients of one: AdamW's first step is as long as the rate."""
    set_trainable(model, stage)
    optimizer, _ = build_optimizer(model, plan, stage)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    return {
        name: float((parameter.detach() - before[name]).abs().max()) for name, parameter in model.named_parameters()
    }


def test_groups_move_as_far_as_their_factors_say(build: Callable) -> None:
    model, plan = build("early_plus"), recipe(weight_decay=0.0)
    factors = {"backbone": 0.1, "text_tables": 0.0}
    steps = moved(model, plan, replace(plan.stages[0], factors=factors))
    for name, group in groups_of(model).items():
        assert steps[name] == pytest.approx(RATE * {**factors, "speech": 1.0}[group], rel=1e-3), name


def test_factors_say_otherwise_than_the_stage(build: Callable) -> None:
    model, plan = build("late"), recipe()
    stage = replace(plan.stages[0], trainable="speech", factors={"text_tables": 0.5})
    groups = groups_of(model)
    assert {groups[name] for name in set_trainable(model, stage)} == {"speech", "text_tables"}
    # What never trains does not train whatever a factor says.
    inserted = build("inserted")
    assert set(set_trainable(inserted, replace(plan.stages[0], factors={"backbone": 1.0}))) == set(
        inserted.speech_parameters()
    )


def test_lower_layers_move_less_where_rates_decay(build: Callable) -> None:
    model = build("early_plus")  # two layers of the text model, and new ones on top
    plan = recipe(weight_decay=0.0, layer_decay=0.5)
    steps = moved(model, plan, plan.stages[0])
    for name, group in groups_of(model).items():
        lower = 0.25 if group == "text_tables" else 0.5 if name.startswith("backbone.model.layers.0.") else 1.0
        assert steps[name] == pytest.approx(RATE * lower, rel=1e-3), name


def test_one_rate_makes_two_groups(build: Callable) -> None:
    plan = recipe()
    sizes = [len(group["params"]) for group in parameter_groups(build(), plan, plan.stages[0])]
    assert len(sizes) == 2 and sum(sizes) == len(list(build().parameters()))
