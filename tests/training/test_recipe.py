"""What a recipe adds up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace


def test_steps_and_ids_of_all_stages(make_recipe: Callable) -> None:
    (stage,) = (recipe := make_recipe(8)).stages
    two = replace(recipe, stages=(stage, replace(stage, num_steps=12)), row_length=24, rows_per_step=5)
    assert (two.num_steps, two.num_ids) == (20, 20 * 5 * 24)
