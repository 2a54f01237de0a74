"""What one run changes of a recipe, and how it is written on a command line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Task
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.schedules import with_steps

# Which option sets what in the record of a training run.
OPTIONS = {
    "id_layout": "the layout of ids in this version of smoltolk",
    "settings.*": "--system or --preset",
    "recipe.*.num_steps": "--steps",
    "recipe.*.warmup_steps": "--steps",
    "recipe.*.decay_steps": "--steps",
    "recipe.stage1.learning_rate": "--stage1-rate",
    "recipe.stage2.learning_rate": "--stage2-rate",
    "recipe.stage1.mixture.*": "--stage1-mixture",
    "recipe.stage2.mixture.*": "--mixture",
    "recipe.spans.*": "--spans",
    "recipe.row_length": "--row-length",
    "recipe.rows_per_step": "--rows-per-step",
    "recipe.predict_switch": "--predict-switch",
    "recipe.bf16": "hardware.autocast, which another device may have decided otherwise",
    "held_out_rows": "--eval-steps or --held-out",
    "text": "--text",
    "units.*": "the shards",
    "utterances": "the shards",
    "seconds": "the shards",
    "shards": "the shards, which have changed since",
    "text_model_content": "the text model, which has changed since",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The same recipe in another size; None leaves what the recipe has.

    Attributes:
        steps: over all stages, which keep their shares; so do their warm-up and decay where there are fewer steps.
        row_length, rows_per_step: as for :class:`~smoltolk.training.recipe.Recipe`.
        rates: peak learning rate by stage.
        mixture: of the stages that train everything.
        speech_mixture: of the stages that train the speech part alone.
        spans: words in the runs of interleaved documents.
        predict_switch: as for :class:`~smoltolk.training.recipe.Recipe`.
    """

    steps: int | None = None
    row_length: int | None = None
    rows_per_step: int | None = None
    rates: Mapping[str, float] | None = None
    mixture: Mapping[str, float] | None = None
    speech_mixture: Mapping[str, float] | None = None
    spans: SpanLengths | None = None
    predict_switch: bool | None = None

    def apply(self, recipe: Recipe) -> Recipe:
        """The changed recipe.

        Raises:
            InputError: numbers that are not positive, too few steps, a stage that there is not.
        """
        for name in ("steps", "row_length", "rows_per_step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more", f"{value}", "give a positive number")
        stages = (recipe if self.steps is None else _scaled(recipe, self.steps)).stages
        rates = self.rates or {}
        unknown = set(rates) - {stage.name for stage in stages}
        if unknown:
            raise InputError("a rate belongs to a stage of the recipe", f"{sorted(unknown)}", "name one of its stages")
        return dataclasses.replace(
            recipe,
            stages=tuple(self._changed(stage, rates) for stage in stages),
            row_length=self.row_length or recipe.row_length,
            rows_per_step=self.rows_per_step or recipe.rows_per_step,
            spans=self.spans or recipe.spans,
            predict_switch=recipe.predict_switch if self.predict_switch is None else self.predict_switch,
        )

    def _changed(self, stage: Stage, rates: Mapping[str, float]) -> Stage:
        rate = rates.get(stage.name, stage.learning_rate)
        given = self.mixture if stage.trainable == "all" else self.speech_mixture
        return dataclasses.replace(stage, learning_rate=rate, mixture=stage.mixture if given is None else dict(given))


def _scaled(recipe: Recipe, steps: int) -> Recipe:
    """The recipe in so many steps; warm-up and decay shrink with them, and never grow."""
    scaled = with_steps(recipe, steps)
    stages = (
        dataclasses.replace(
            stage,
            warmup_steps=min(stage.warmup_steps, before.warmup_steps),
            decay_steps=min(stage.decay_steps, before.decay_steps),
        )
        for stage, before in zip(scaled.stages, recipe.stages, strict=True)
    )
    return dataclasses.replace(recipe, stages=tuple(stages))


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
