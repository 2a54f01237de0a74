"""Named recipes: functions that return a tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smoltolk.training.presets import PRESETS, Preset, small_recipe
from smoltolk.training.recipes.tree import ModelSettings, RunRecipe


def recipe_of_preset(preset: Preset) -> RunRecipe:
    """A preset as a tree. Its text model is a default that is mostly replaced."""
    model = ModelSettings(
        text_model=preset.text_model,
        num_input_layers=preset.num_input_layers,
        num_output_layers=preset.num_output_layers,
    )
    return RunRecipe(name=preset.name, model=model, stages=preset.recipe.stages).with_recipe(preset.recipe)


def smoltolk_150m() -> RunRecipe:
    """The paper's smallest model: SmolLM-135M, two stages."""
    return replace(recipe_of_preset(PRESETS["150m"]), name="smoltolk-150m")


def smoltolk_400m() -> RunRecipe:
    """The paper's middle model: SmolLM-360M, two stages."""
    return replace(recipe_of_preset(PRESETS["400m"]), name="smoltolk-400m")


def smoltolk_2b() -> RunRecipe:
    """The paper's largest model: SmolLM-1.7B, two stages at lower rates."""
    return replace(recipe_of_preset(PRESETS["2b"]), name="smoltolk-2b")


def quick(first: int, second: int, rate: float) -> RunRecipe:
    """The quick start's two stages around a small text model, for a CPU and recordings of a few sentences.

    Args:
        first, second: optimizer steps of the stages.
        rate: peak learning rate of both.
    """
    recipe = small_recipe(first, second, rate)
    model = ModelSettings(num_input_layers=2, num_output_layers=1)
    return RunRecipe(name="quickstart", model=model, stages=recipe.stages).with_recipe(recipe)


def small() -> RunRecipe:
    """The quick start's at scale small: 300 and 2,200 steps. Name the text model (`smoltolk backbone` makes one)."""
    return replace(quick(300, 2200, 3e-3), name="small")


RECIPES: dict[str, Callable[[], RunRecipe]] = {
    "small": small,
    "smoltolk-150m": smoltolk_150m,
    "smoltolk-400m": smoltolk_400m,
    "smoltolk-2b": smoltolk_2b,
}
