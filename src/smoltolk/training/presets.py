"""Named runs: recipes with the figures of the paper, and the quick start's for a model of one's own.

The figures of ``150m``, ``400m`` and ``2b`` (rates, warm-up, stage 1, mixture, tokens a step) are those of
arXiv 2503.06211 and its released code; the number of steps of stage 2 is a budget, not a figure of the paper.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from smoltolk.common.errors import InputError
from smoltolk.data.interleave import SpanLengths
from smoltolk.data.mixture import Task
from smoltolk.training.recipe import Recipe, Stage

PAPER_MIXTURE = {"speech": 1.0, "text": 1.0, "interleaved": 1.0}


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


def _small() -> Preset:
    stage1 = Stage(
        name="stage1", num_steps=250, trainable="speech", learning_rate=3e-3, warmup_steps=25, decay_steps=50
    )
    stage2 = Stage(
        name="stage2",
        num_steps=1750,
        trainable="all",
        learning_rate=3e-3,
        warmup_steps=87,
        decay_steps=583,
        mixture={"speech": 1.0, "text": 0.75, "interleaved": 1.25, "recognition": 1.5, "synthesis": 1.0},
    )
    spans = SpanLengths(text=(2, 6), speech=(2, 6))  # for recordings of a few sentences
    recipe = Recipe(
        stages=(stage1, stage2),
        row_length=192,
        rows_per_step=5,
        spans=spans,
        prompted_length=48,  # single sentences: that is what one says and hears
        save_steps=250,
    )
    return Preset(name="small", text_model="smoltolk backbone", num_input_layers=2, num_output_layers=1, recipe=recipe)


PRESETS = {
    preset.name: preset
    for preset in (
        _small(),
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
    if name not in PRESETS:
        raise InputError(f"a preset is one of {', '.join(PRESETS)}", repr(name), "choose one of them")
    return PRESETS[name]


def preset_for(num_parameters: int) -> Preset:
    """The preset whose text model is nearest in size.

    Args:
        num_parameters: of the text model.
    """
    return PRESETS[next(name for name, most in _UP_TO.items() if num_parameters <= most)]


def adjust(
    recipe: Recipe,
    *,
    steps: int | None = None,
    row_length: int | None = None,
    rows_per_step: int | None = None,
    rates: Mapping[str, float] | None = None,
    mixture: Mapping[str, float] | None = None,
    spans: SpanLengths | None = None,
) -> Recipe:
    """The same recipe in another size.

    Args:
        recipe: to start from.
        steps: over all stages, which keep their shares, and so do their warm-up and decay.
        row_length, rows_per_step: as for :class:`~smoltolk.training.recipe.Recipe`.
        rates: peak learning rate by stage.
        mixture: of the stages that train everything.
        spans: words in the runs of interleaved documents.

    Raises:
        InputError: numbers that are not positive, too few steps, a stage or a task that there is not.
    """
    for name, value in (("steps", steps), ("row_length", row_length), ("rows_per_step", rows_per_step)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be 1 or more", f"{value}", "give a positive number")
    stages = _scaled(recipe.stages, steps) if steps is not None else recipe.stages
    unknown = set(rates or ()) - {stage.name for stage in stages}
    if unknown:
        raise InputError("a rate belongs to a stage of the recipe", f"{sorted(unknown)}", "name one of its stages")
    stages = tuple(_changed(stage, rates or {}, mixture) for stage in stages)
    return dataclasses.replace(
        recipe,
        stages=stages,
        row_length=row_length or recipe.row_length,
        rows_per_step=rows_per_step or recipe.rows_per_step,
        spans=spans or recipe.spans,
    )


def _changed(stage: Stage, rates: Mapping[str, float], mixture: Mapping[str, float] | None) -> Stage:
    rate = rates.get(stage.name, stage.learning_rate)
    if not rate > 0:
        raise InputError("a learning rate must be above 0", f"{stage.name}: {rate}", "give e.g. 3e-4")
    mix = dict(mixture) if mixture is not None and stage.trainable == "all" else stage.mixture
    return dataclasses.replace(stage, learning_rate=rate, mixture=mix)


def _scaled(stages: tuple[Stage, ...], steps: int) -> tuple[Stage, ...]:
    if steps < len(stages):
        raise InputError("every stage needs a step", f"{steps} steps for {len(stages)} stages", "give more steps")
    total = sum(stage.num_steps for stage in stages)
    counts = [max(1, round(stage.num_steps * steps / total)) for stage in stages]
    counts[-1] = max(1, steps - sum(counts[:-1]))
    return tuple(
        dataclasses.replace(
            stage,
            num_steps=count,
            warmup_steps=min(stage.warmup_steps, stage.warmup_steps * count // stage.num_steps),
            decay_steps=min(stage.decay_steps, stage.decay_steps * count // stage.num_steps),
        )
        for stage, count in zip(stages, counts, strict=True)
    )


def parse_mixture(text: str) -> dict[str, float]:
    """``"speech=1,text=1,interleaved=2"`` as weights by task.

    Raises:
        InputError: something else, an unknown task, or no weight above 0.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or name.strip() not in set(Task) or not 0 <= weights[name.strip()] < float("inf"):
            raise InputError(
                f"a mixture is like speech=1,text=1,interleaved=1, of the tasks {', '.join(Task)}",
                repr(part),
                "correct this part",
            )
    weights = {name: weight for name, weight in weights.items() if weight > 0}
    if not weights:
        raise InputError("a mixture needs a weight above 0", repr(text), "give one of its tasks a weight")
    return weights


def parse_spans(text: str) -> SpanLengths:
    """``"10-30,5-15"`` as words in the runs of text and of speech.

    Raises:
        InputError: something else.
    """
    found = re.fullmatch(r"(\d+)-(\d+),(\d+)-(\d+)", text.replace(" ", ""))
    if found is None:
        raise InputError(
            "spans are like 10-30,5-15: fewest and most words of a run of text, then of speech",
            repr(text),
            "write them so",
        )
    first, second, third, fourth = map(int, found.groups())
    return SpanLengths(text=(first, second), speech=(third, fourth))
