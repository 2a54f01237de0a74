"""Named recipes. Each is a function that returns a tree, and a variant of another one says what it has otherwise.

``smoltolk-*`` have the figures of arXiv 2503.06211, ``lf2ar-*`` those of its first author's LF2AR
(``tiagoCuervo/interleaved_lm``), where they are published; the steps of the paper's stage 2 are a budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from smoltolk.training.presets import PAPER_MIXTURE, PRESETS, Preset, small_recipe
from smoltolk.training.recipe import Stage
from smoltolk.training.recipes.binding import changed
from smoltolk.training.recipes.tree import ModelSettings, Optimisation, RunRecipe
from smoltolk.training.schedules import single_stage
from smoltolk.training.tuning.settings import LoraSettings


def recipe_of_preset(preset: Preset) -> RunRecipe:
    """A preset as a tree. Its text model is a default that is mostly replaced."""
    model = ModelSettings(
        text_model=preset.text_model,
        num_input_layers=preset.num_input_layers,
        num_output_layers=preset.num_output_layers,
    )
    return RunRecipe(name=preset.name, model=model, stages=preset.recipe.stages).with_recipe(preset.recipe)


# ---------------------------------------------------------------------------------------------- the paper's models


def smoltolk_150m() -> RunRecipe:
    """The paper's smallest model: SmolLM-135M, two stages."""
    return recipe_of_preset(PRESETS["150m"])


def smoltolk_400m() -> RunRecipe:
    """The paper's middle model: SmolLM-360M, two stages."""
    return recipe_of_preset(PRESETS["400m"])


def smoltolk_2b() -> RunRecipe:
    """The paper's largest model: SmolLM-1.7B, two stages at lower rates."""
    return recipe_of_preset(PRESETS["2b"])


def early(base: RunRecipe) -> RunRecipe:
    """The usual vocabulary expansion in place of late fusion, trained alike."""
    return changed(base, {"model": {"system": "early"}})


def early_plus(base: RunRecipe) -> RunRecipe:
    """Early fusion with as many parameters as late fusion: its adapters' layers stand on top of the backbone."""
    return changed(base, {"model": {"system": "early_plus"}})


# ---------------------------------------------------------------------------------------------------------- LF2AR


def _lf2ar(base: RunRecipe, rate: float, num_steps: int, entropy_weight: float) -> RunRecipe:
    """One joint run: no residual, every parameter at one constant rate, 480 rows a step."""
    stage = Stage(
        name="joint", num_steps=num_steps, trainable="all", learning_rate=rate, warmup_steps=100, mixture=PAPER_MIXTURE
    )
    model = replace(base.model, speech_residual=False, entropy_weight=entropy_weight)
    return replace(base, model=model, stages=(stage,), optimisation=Optimisation(rows_per_step=480))


def lf2ar_150m() -> RunRecipe:
    """LF2AR around SmolLM-135M."""
    return _lf2ar(smoltolk_150m(), 3e-4, 17_000, 0.0)


def lf2ar_400m() -> RunRecipe:
    """LF2AR around SmolLM-360M."""
    return _lf2ar(smoltolk_400m(), 3e-4, 17_000, 0.01)


def lf2ar_2b() -> RunRecipe:
    """LF2AR around SmolLM-1.7B."""
    return _lf2ar(smoltolk_2b(), 1e-4, 33_000, 0.01)


# ------------------------------------------------------------------------------------- what the paper takes away


def first_stage_alone(base: RunRecipe) -> RunRecipe:
    """Only what the text model did not bring is trained."""
    return replace(base, stages=base.stages[:1])


def one_stage(base: RunRecipe) -> RunRecipe:
    """Everything trains from the first step on, for as many steps as both stages have."""
    return base.with_recipe(single_stage(base.recipe()))


ABLATIONS: dict[str, Mapping[str, Any]] = {
    "no-input-adapter": {"num_input_layers": 0},
    "no-output-adapter": {"num_output_layers": 0},
    "no-adapters": {"num_input_layers": 0, "num_output_layers": 0},
    "no-selection": {"layer_mix": "last"},
    "static": {"layer_mix": "static"},
    "no-residual": {"speech_residual": False},
    "no-entropy-term": {"entropy_weight": 0.0},
    # Other ways to put speech around a text model.
    "patches": {"system": "patches"},
    "split-top": {"system": "split_top"},
    "inserted": {"system": "inserted"},
}


def without(name: str, base: RunRecipe) -> RunRecipe:
    """A recipe with one of :data:`ABLATIONS`."""
    return changed(base, {"model": ABLATIONS[name]})


# ------------------------------------------------------------------------------------------- from a trained model


def fine_tuning(task: str, base: RunRecipe) -> RunRecipe:
    """One task alone; name the model that it starts from: ``tuning.start=MODEL``.

    Args:
        task: of a mixture, e.g. ``recognition``.
        base: the run that made the model.
    """
    stage = Stage(
        name=task,
        num_steps=2000,
        trainable="all",
        learning_rate=1e-4,
        warmup_steps=100,
        decay_steps=500,
        mixture={task: 1.0},
    )
    return replace(base, stages=(stage,), optimisation=replace(base.optimisation, rows_per_step=64))


def lora() -> RunRecipe:
    """The paper's middle model with low-rank matrices in place of the text model's weights."""
    return changed(smoltolk_400m(), {"tuning": {"lora": LoraSettings()}})


# ------------------------------------------------------------------------------------------------- the quick start


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
    """The quick start's at scale small; name the text model (`smoltolk backbone` makes one)."""
    return quick(300, 2200, 3e-3)


def _named(recipes: Mapping[str, Callable[[], RunRecipe]]) -> dict[str, Callable[[], RunRecipe]]:
    """Each under the name that it goes by."""

    def make(name: str, function: Callable[[], RunRecipe]) -> Callable[[], RunRecipe]:
        return lambda: replace(function(), name=name)

    return {name: make(name, function) for name, function in recipes.items()}


RECIPES = _named(
    {
        "small": small,
        "smoltolk-150m": smoltolk_150m,
        "smoltolk-400m": smoltolk_400m,
        "smoltolk-2b": smoltolk_2b,
        "lf2ar-150m": lf2ar_150m,
        "lf2ar-400m": lf2ar_400m,
        "lf2ar-2b": lf2ar_2b,
        "early-150m": lambda: early(smoltolk_150m()),
        "early-400m": lambda: early(smoltolk_400m()),
        "early-2b": lambda: early(smoltolk_2b()),
        "early-plus-150m": lambda: early_plus(smoltolk_150m()),
        "early-plus-400m": lambda: early_plus(smoltolk_400m()),
        "early-plus-2b": lambda: early_plus(smoltolk_2b()),
        **{f"{name}-150m": lambda name=name: without(name, smoltolk_150m()) for name in ABLATIONS},  # type: ignore[misc]
        "single-stage-150m": lambda: one_stage(smoltolk_150m()),
        "stage1-alone-150m": lambda: first_stage_alone(smoltolk_150m()),
        "recognition-400m": lambda: fine_tuning("recognition", smoltolk_400m()),
        "synthesis-400m": lambda: fine_tuning("synthesis", smoltolk_400m()),
        "lora-400m": lora,
    }
)
