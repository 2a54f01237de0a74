"""The same recipe for longer, at another rate, or in one stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smoltolk.common.errors import InputError
from smoltolk.training.recipe import Recipe, Stage


def with_steps(recipe: Recipe, num_steps: int) -> Recipe:
    """A recipe of so many steps in all: its stages, and their warm-up and decay, keep their shares.

    Args:
        recipe: any.
        num_steps: optimizer steps over all stages.

    Raises:
        InputError: fewer steps than stages.
    """
    if num_steps < len(recipe.stages):
        raise InputError(
            "every stage needs a step", f"{num_steps} steps for {len(recipe.stages)} stages", "give more steps"
        )
    stages: list[Stage] = []
    before = done = 0
    for number, stage in enumerate(recipe.stages, 1):
        before += stage.num_steps
        most = num_steps - done - (len(recipe.stages) - number)  # each one behind it needs a step
        count = min(most, max(1, round(before * num_steps / recipe.num_steps) - done))
        done += count
        warmup, decay = (n * count // stage.num_steps for n in (stage.warmup_steps, stage.decay_steps))
        stages.append(replace(stage, num_steps=count, warmup_steps=warmup, decay_steps=decay))
    return replace(recipe, stages=tuple(stages))


def with_rate(recipe: Recipe, rate: float) -> Recipe:
    """The recipe with this peak learning rate in every stage."""
    return replace(recipe, stages=tuple(replace(stage, learning_rate=rate) for stage in recipe.stages))


def longer(factor: float) -> Callable[[Recipe], Recipe]:
    """A change: this many times as many steps."""
    return lambda recipe: with_steps(recipe, round(factor * recipe.num_steps))


def single_stage(recipe: Recipe) -> Recipe:
    """A change: the last stage, which trains all parameters, alone, for as many steps as all stages have."""
    return with_steps(replace(recipe, stages=recipe.stages[-1:]), recipe.num_steps)
