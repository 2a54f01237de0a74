"""The trainings of an ablation: which there are, in which order, at which rate, and each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.common.run_directory import Job
from smoltolk.data.shards.parquet import read_shards
from smoltolk.inference.parts import load_model
from smoltolk.quickstart.evaluation_steps import ask, questions
from smoltolk.quickstart.model_steps import speech_recipe_of, train_by
from smoltolk.quickstart.scales import scale_named
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.variants import variant_named
from smoltolk.training.backbone import load_text_config
from smoltolk.training.recipe import Recipe
from smoltolk.training.schedules import with_rate, with_steps
from smoltolk.training.trainer import Report

_HEARD, _HEARD_DIRECTIONS = "fact_heard_answer", ("S->S", "S->T", "T->S")


@dataclass(frozen=True)
class Ablation:
    """What is asked for.

    Attributes:
        out: the run directory.
        scale_name: ``tiny``, ``small`` or ``medium``.
        seeds: of worlds, and of what is trained in them; rates are chosen on the first.
        variants: names, in the order of work.
        rates: to choose from, for each variant; none: the recipe's.
        num_steps: of the recipe, all stages together; None: as it is.

    Raises:
        InputError: an unknown name, something twice or not at all, a rate that is not above 0, too few steps.
    """

    out: Path
    scale_name: str
    seeds: tuple[int, ...]
    variants: tuple[str, ...]
    rates: tuple[float, ...] = ()
    num_steps: int | None = None

    def __post_init__(self) -> None:
        for name, values in (("seeds", self.seeds), ("variants", self.variants), ("rates", self.rates)):
            if len(set(values)) < len(values) or (not values and name != "rates"):
                raise InputError(f"{name} are there, each once", f"{list(values)}", "name each once")
        if not all(0 < rate < float("inf") for rate in self.rates):
            raise InputError("a learning rate must be above 0", f"{list(self.rates)}", "give e.g. 3e-3")
        for name in self.variants:
            needed = variant_named(name).same_compute or ()
            if not set(needed) <= set(self.variants):
                raise InputError(
                    f"{name} trains for as long as others took: it needs {' and '.join(needed)}",
                    f"the variants {', '.join(self.variants)}",
                    "name them too",
                )
        _ = self.recipe

    @cached_property
    def recipe(self) -> Recipe:
        """Of late fusion; a variant may change it."""
        recipe = scale_named(self.scale_name).speech.recipe()
        return recipe if self.num_steps is None else with_steps(recipe, self.num_steps)

    def figures(self, trial: Trial) -> dict[str, Any] | None:
        """What a finished trial measured."""
        path = self.out / "steps" / f"{trial.name}.json"
        return read_json(path)["figures"] if path.is_file() else None

    def tuning(self, variant: str) -> dict[float, Trial]:
        """The trials that a rate is chosen from."""
        return {rate: Trial(variant, self.seeds[0], rate) for rate in self.rates}

    def rate(self, variant: str) -> float | None:
        """A variant's rate: the best one, the recipe's where there is none to choose from; None: not known yet."""
        if not self.rates:
            return variant_named(variant).change(self.recipe).stages[-1].learning_rate
        found = {rate: self.figures(trial) for rate, trial in self.tuning(variant).items()}
        tuned = {rate: figures for rate, figures in found.items() if figures is not None}
        return best_rate(tuned) if len(tuned) == len(found) else None

    def trial(self, variant: str, seed: int) -> Trial | None:
        """Whose figures are those of a variant and a seed; None: not yet known."""
        if not self.rates or seed != self.seeds[0]:
            return Trial(variant, seed)
        rate = self.rate(variant)
        return None if rate is None else Trial(variant, seed, rate)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training and its questions.

    Attributes:
        variant, seed: which.
        rate: tried; None: that of the variant.
    """

    variant: str
    seed: int
    rate: float | None = None

    @property
    def name(self) -> str:
        """Of its step and its folders."""
        return f"{self.variant}-{self.seed}" + ("" if self.rate is None else f"-rate-{self.rate:g}")

    @property
    def title(self) -> str:
        """For its bar."""
        return f"{self.variant}, seed {self.seed}" + ("" if self.rate is None else f", rate {self.rate:g}")


def heard_facts(figures: Mapping[str, Any]) -> float:
    """Mean accuracy on heard facts asked by the answer alone, as pairs, wherever speech takes part."""
    cells = figures[_HEARD]
    return sum(cells[way]["pair"]["accuracy"] for way in _HEARD_DIRECTIONS) / len(_HEARD_DIRECTIONS)


def best_rate(tuned: Mapping[float, Mapping[str, Any]]) -> float:
    """The rate that knows most heard facts; of equal ones that with the likelier held-out speech.

    What was only read is not looked at: those are the outcomes.

    Args:
        tuned: figures for each rate.
    """
    return max(tuned, key=lambda rate: (heard_facts(tuned[rate]), -tuned[rate]["speech_nll"]))


def jobs_of(ablation: Ablation, data: Mapping[int, Settings]) -> list[Job]:
    """All trials in the order of work: variant by variant, where there are rates first those, then seed by seed.

    Args:
        ablation: what is asked for.
        data: of each seed.
    """
    jobs, num_asked = [], scale_named(ablation.scale_name).num_asked
    for variant in ablation.variants:
        tuning = tuple(ablation.tuning(variant).values())
        seeds = [Trial(variant, seed) for seed in (ablation.seeds[1:] if tuning else ablation.seeds)]
        measured = tuple(
            trial.name for name in variant_named(variant).same_compute or () for trial in first_trials(ablation, name)
        )
        for trial in (*tuning, *seeds):
            after = measured if trial in tuning else (*measured, *(each.name for each in tuning))
            total = variant_named(variant).change(ablation.recipe).num_steps + num_asked
            jobs.append(Job(trial.name, trial.title, total, run_trial, (ablation, data[trial.seed], trial), after))
    return jobs


def first_trials(ablation: Ablation, variant: str) -> tuple[Trial, ...]:
    """All trials of the first seed."""
    return tuple(ablation.tuning(variant).values()) or (Trial(variant, ablation.seeds[0]),)


def run_trial(ablation: Ablation, data: Settings, trial: Trial, report: Report) -> dict[str, Any]:
    """Train a variant and ask it. What was trained lies in ``OUT/work/TRIAL``, its answers in ``OUT/evaluation/TRIAL``.

    Args:
        ablation: what is asked for.
        data: of the trial's seed.
        trial: which.
        report: called with steps done, and behind them options scored.
    """
    variant = variant_named(trial.variant)
    recipe = planned = variant.change(ablation.recipe)
    factor = 1.0
    if variant.same_compute is not None:
        factor = time_factor(ablation, *variant.same_compute)
        recipe = with_steps(recipe, round(factor * recipe.num_steps))
    rate = trial.rate or ablation.rate(trial.variant)
    if ablation.rates and rate is not None:
        recipe = with_rate(recipe, rate)
    folder = work_of(ablation, trial)
    tree = speech_recipe_of(data, variant.system)
    given = variant.settings(load_text_config(str(data.backbone)))
    tree = replace(
        tree.with_recipe(recipe), model=replace(tree.model, **given), seed=trial.seed, out=str(folder / "model")
    )
    trained = train_by(data, tree, folder, lambda done, text: report(done * planned.num_steps / recipe.num_steps, text))
    model, tokenizer = load_model(folder / "model")
    answers = ablation.out / "evaluation" / trial.name
    asked = ask(
        data, model, tokenizer, questions(data, tokenizer), read_shards(data.shards("test")), answers,
        lambda done, text: report(planned.num_steps + done, text),
    )  # fmt: skip
    return {**trained, **asked, "rate": rate, "steps": recipe.num_steps, "factor": factor}


def work_of(ablation: Ablation, trial: Trial) -> Path:
    """Where a trial keeps checkpoints and its model, until its figures are kept."""
    return ablation.out / "work" / trial.name


def time_factor(ablation: Ablation, slow: str, fast: str) -> float:
    """How many times as long one variant trained as another, on the first seed at their rates; two decimal places."""
    seed = ablation.seeds[0]
    found = [ablation.figures(ablation.trial(name, seed) or Trial(name, seed)) or {} for name in (slow, fast)]
    first, second = (figures["train_seconds"] / figures["steps"] for figures in found)
    return round(first / second, 2)
