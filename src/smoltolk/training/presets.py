"""Named runs: recipes with the figures of the paper, and the quick start's for a model of one's own.

The figures of ``150m``, ``400m`` and ``2b`` (rates, warm-up, stage 1, mixture, tokens a step) are those of
arXiv 2503.06211 and its released code; the number of steps of stage 2 is a budget, not a figure of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

from smoltolk.common.errors import named
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.training.recipe import Recipe, Stage

PAPER_MIXTURE = {"speech": 1.0, "text": 1.0, "interleaved": 1.0}
# Most documents change between text and speech: there a small model learns soonest to read one from the other.
SMALL_MIXTURE = {"speech": 0.5, "text": 0.75, "interleaved": 4.0, "recognition": 0.5, "synthesis": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A run by name.

    Attributes:
        name: as given on the command line.
        text_model: what it was made for; any other text model can take its place.
        num_input_layers, num_output_layers: of the adapters.
        recipe: the stages.
    """

    name: str
    text_model: str
    num_input_layers: int
    num_output_layers: int
    recipe: Recipe


def _paper(name: str, text_model: str, first_rate: float, second_rate: float) -> Preset:
    stage1 = Stage(
        name="stage1", num_steps=1000, trainable="speech", learning_rate=first_rate, warmup_steps=100, decay_steps=200
    )
    stage2 = Stage(
        name="stage2",
        num_steps=20_000,
        trainable="all",
        learning_rate=second_rate,
        warmup_steps=100,
        mixture=PAPER_MIXTURE,
    )
    recipe = Recipe(stages=(stage1, stage2), row_length=2048, rows_per_step=512)  # 1,048,576 ids a step
    return Preset(name=name, text_model=text_model, num_input_layers=2, num_output_layers=2, recipe=recipe)


def small_recipe(first: int, second: int, rate: float) -> Recipe:
    """Two stages for a small text model, trained on a CPU with recordings of a few sentences.

    Args:
        first, second: optimizer steps of the stages.
        rate: peak learning rate of both.
    """
    stage1 = Stage(
        name="stage1",
        num_steps=first,
        trainable="speech",
        learning_rate=rate,
        warmup_steps=first // 10,
        decay_steps=first // 5,
    )
    stage2 = Stage(
        name="stage2",
        num_steps=second,
        trainable="all",
        learning_rate=rate,
        warmup_steps=second // 20,
        decay_steps=second // 3,
        mixture=SMALL_MIXTURE,
    )
    # Stories have some 22 words: runs must be short for the modality to change many times, and so often just before a
    # word that is worth guessing.
    spans = SpanLengths(text=(1, 4), speech=(1, 4))
    return Recipe(
        stages=(stage1, stage2),
        row_length=192,
        rows_per_step=5,
        spans=spans,
        prompted_length=48,  # single sentences: that is what one says and hears
        save_steps=250,
    )


def text_recipe(
    num_steps: int, learning_rate: float = 3e-3, *, row_length: int = 256, rows_per_step: int = 16
) -> Recipe:
    """One stage for a small text model by itself.

    Args:
        num_steps: optimizer steps; a tenth of them warms up, the last quarter decays.
        learning_rate: peak rate.
        row_length, rows_per_step: as for :class:`~smoltolk.training.recipe.Recipe`.
    """
    stage = Stage(
        name="text",
        num_steps=num_steps,
        trainable="all",
        learning_rate=learning_rate,
        warmup_steps=max(0, num_steps) // 10,
        decay_steps=max(0, num_steps) // 4,
        mixture={"text": 1.0},
    )
    return Recipe(stages=(stage,), row_length=row_length, rows_per_step=rows_per_step, save_steps=100)


_SMALL = Preset(
    name="small",
    text_model="smoltolk backbone",
    num_input_layers=2,
    num_output_layers=1,
    recipe=small_recipe(300, 2200, 3e-3),
)
PRESETS = {
    preset.name: preset
    for preset in (
        _SMALL,
        _paper("150m", "HuggingFaceTB/SmolLM-135M", 3e-3, 3e-4),
        _paper("400m", "HuggingFaceTB/SmolLM-360M", 3e-3, 3e-4),
        _paper("2b", "HuggingFaceTB/SmolLM-1.7B", 5e-4, 5e-5),
    )
}
# Parameters of the text model up to which a preset is chosen.
_UP_TO = {"small": 20e6, "150m": 250e6, "400m": 1e9, "2b": float("inf")}


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InputError: there is none.
    """
    return named("a preset", name, PRESETS)


def preset_for(num_parameters: int) -> Preset:
    """The preset whose text model is nearest in size.

    Args:
        num_parameters: of the text model.
    """
    return PRESETS[next(name for name, most in _UP_TO.items() if num_parameters <= most)]
