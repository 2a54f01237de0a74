"""Recipes for longer, at another rate, in one stage: what stays in proportion."""

from __future__ import annotations

import pytest

from smoltolk.common.errors import InputError
from smoltolk.training.presets import small_recipe
from smoltolk.training.schedules import longer, single_stage, with_rate, with_steps

RECIPE = small_recipe(250, 1750, 3e-3)


@pytest.mark.parametrize("num_steps", [2, 3, 17, 1000, 2000, 6001])
def test_stages_keep_their_shares(num_steps):
    scaled = with_steps(RECIPE, num_steps)
    assert scaled.num_steps == num_steps
    for stage, whole in zip(scaled.stages, RECIPE.stages, strict=True):
        factor = num_steps / RECIPE.num_steps
        assert abs(stage.num_steps - factor * whole.num_steps) <= 1
        assert abs(stage.warmup_steps - factor * whole.warmup_steps) <= 1
        assert abs(stage.decay_steps - factor * whole.decay_steps) <= 1.5
        assert (stage.learning_rate, stage.mixture, stage.trainable) == (
            whole.learning_rate, whole.mixture, whole.trainable
        )  # fmt: skip
    assert with_steps(RECIPE, RECIPE.num_steps) == RECIPE


def test_too_few_steps_are_refused():
    with pytest.raises(InputError, match="1 steps for 2 stages"):
        with_steps(RECIPE, 1)


def test_one_stage_trains_all_on_the_last_mixture_for_all_steps():
    (stage,) = single_stage(RECIPE).stages
    last = RECIPE.stages[-1]
    assert (stage.num_steps, stage.trainable, stage.mixture) == (RECIPE.num_steps, "all", last.mixture)
    # The same name: it begins with the rows that the last stage begins with.
    assert stage.name == last.name and stage.warmup_steps == 2000 * last.warmup_steps // 1750
    assert stage.rate_at(0) < 0.02 and stage.rate_at(1999) < 0.01


def test_a_rate_is_of_all_stages():
    assert {stage.learning_rate for stage in with_rate(RECIPE, 5e-4).stages} == {5e-4}


def test_longer_is_longer():
    assert longer(1.5)(RECIPE) == with_steps(RECIPE, 3000)
