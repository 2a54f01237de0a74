"""What a recipe adds up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from smoltolk.common.errors import InputError
from smoltolk.training.recipe import GROUPS


def test_steps_and_ids_of_all_stages(make_recipe: Callable) -> None:
    (stage,) = (recipe := make_recipe(8)).stages
    two = replace(recipe, stages=(stage, replace(stage, num_steps=12)), row_length=24, rows_per_step=5)
    assert (two.num_steps, two.num_ids) == (20, 20 * 5 * 24)


@pytest.mark.parametrize(
    "changes",
    [
        {"factors": {"backbone": -0.1}},
        {"factors": {"adapters": 1.0}},
        {"factors": {"backbone": float("nan")}},
        {"trainable": "speech", "factors": {"speech": 0.0}},
    ],
)
def test_factors_that_cannot_be(make_recipe: Callable, changes: dict) -> None:
    with pytest.raises(InputError, match="backbone, speech, text_tables"):
        replace(make_recipe(8).stages[0], **changes)


def test_a_stage_has_a_factor_for_each_group(make_recipe: Callable) -> None:
    stage = make_recipe(8, "speech").stages[0]
    assert [stage.factor(group) for group in GROUPS] == [0.0, 1.0, 0.0]
    assert [replace(stage, trainable="all").factor(group) for group in GROUPS] == [1.0, 1.0, 1.0]
    assert replace(stage, factors={"backbone": 0.1}).factor("backbone") == 0.1
    with pytest.raises(InputError, match="layer_decay"):
        make_recipe(8, layer_decay=1.5)
