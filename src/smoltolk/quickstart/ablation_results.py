"""``ablation.json``: every figure of an ablation, means over seeds, and differences to late fusion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.analysis.answer_lens import lens_differences, load_lens
from smoltolk.common.files import read_json, read_jsonl
from smoltolk.evaluation.runs.world_answers import of_cell, world_differences
from smoltolk.quickstart.evaluation_steps import ANSWERS
from smoltolk.quickstart.trials import Ablation, Trial, heard_facts
from smoltolk.quickstart.variants import VARIANTS, variant_named
from smoltolk.report.results import LENS, OUTCOMES, Outcome, cell_of

REFERENCE = "late"
NOT_RUN = "not run"  # in table and figure
_NOT_KEPT = ("history",)  # stays with its step


def accuracy(figures: Mapping[str, Any], outcome: Outcome) -> float:
    """What a trial came to in one of the declared outcomes: the share of pairs that are right."""
    return cell_of({"models": {"": figures}}, "", outcome.kind, outcome.direction, pair=True)["accuracy"]


def gather(ablation: Ablation, data: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The results as far as they are known; variants and seeds of earlier commands in this directory are among them.

    Args:
        ablation: what is asked for now.
        data: of each seed, what is told of its data.

    Returns:
        ``{"scale", "seeds", "steps", "rates", "data", "variants", "missing"}``; of a variant ``title``, ``rate`` (None:
        not chosen yet), ``tuning`` (figures by rate), ``seeds`` (figures by seed: cells as of an evaluation, ``lens``,
        likelihoods, ``parameters``, ``train_seconds``), ``heard`` and ``outcomes`` (a mean, and a difference to late
        fusion where there is one). ``missing``: variants and seeds without figures.
    """
    former = _former(ablation.out / "ablation.json")
    everything = replace(
        ablation,
        seeds=(ablation.seeds[0], *sorted({*ablation.seeds, *former["seeds"]} - {ablation.seeds[0]})),
        variants=tuple(v.name for v in VARIANTS if v.name in {*ablation.variants, *former["variants"]}),
    )
    trials = {
        name: {seed: trial for seed in everything.seeds if (trial := _finished(everything, name, seed)) is not None}
        for name in everything.variants
    }
    return {
        "scale": ablation.scale_name,
        "seeds": list(everything.seeds),
        "steps": ablation.recipe.num_steps,
        "rates": list(ablation.rates),
        "data": former["data"] | {str(seed): dict(figures) for seed, figures in data.items()},
        "variants": {name: _variant(everything, name, trials[name], trials.get(REFERENCE, {})) for name in trials},
        "missing": [
            {"variant": name, "seed": seed}
            for name, done in trials.items()
            for seed in everything.seeds
            if seed not in done
        ],
    }


def _former(path: Path) -> dict[str, Any]:
    """What an earlier command left that has figures."""
    found = read_json(path) if path.is_file() else {"variants": {}, "data": {}}
    known = {name: entry for name, entry in found["variants"].items() if entry["seeds"] or entry["tuning"]}
    seeds = {int(seed) for entry in known.values() for seed in entry["seeds"]}
    return {"variants": set(known), "seeds": seeds, "data": {str(s): found["data"][str(s)] for s in seeds}}


def _finished(ablation: Ablation, variant: str, seed: int) -> Trial | None:
    trial = ablation.trial(variant, seed)
    return None if trial is None or ablation.figures(trial) is None else trial


def _variant(
    ablation: Ablation, name: str, trials: Mapping[int, Trial], reference: Mapping[int, Trial]
) -> dict[str, Any]:
    tuning = {rate: ablation.figures(trial) for rate, trial in ablation.tuning(name).items()}
    seeds = {seed: ablation.figures(trial) or {} for seed, trial in trials.items()}
    return {
        "title": variant_named(name).title,
        "rate": ablation.rate(name),
        "tuning": {f"{rate:g}": _kept(figures) for rate, figures in tuning.items() if figures is not None},
        "seeds": {str(seed): _kept(figures) for seed, figures in seeds.items()},
        "heard": _mean(heard_facts(figures) for figures in seeds.values()),
        "outcomes": {
            outcome.name: {
                "mean": _mean(accuracy(figures, outcome) for figures in seeds.values()),
                "difference": None if name == REFERENCE else _difference(ablation, outcome, trials, reference),
            }
            for outcome in OUTCOMES
        },
    }


def _kept(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key not in _NOT_KEPT}


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None


def _difference(
    ablation: Ablation, outcome: Outcome, trials: Mapping[int, Trial], reference: Mapping[int, Trial]
) -> dict[str, Any] | None:
    both = [seed for seed in trials if seed in reference]
    folder = ablation.out / "evaluation"
    each = [
        _of_a_seed(outcome, folder / trials[seed].name, folder / reference[seed].name, seed)["pair"] for seed in both
    ]
    return mean_difference(each) | {"seeds": both} if each else None


def mean_difference(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean over seeds of paired differences, with a 95% interval.

    Each seed's difference is between two systems that answered the same questions, and has an interval of its own, by a
    bootstrap over the facts of its world. Worlds are drawn apart, so the distances from the differences to their bounds
    add up as those of independent errors do: the root of the sum of their squares, divided by the number of seeds (the
    method of variance estimates recovery: Zou and Donner, Statistics in Medicine, 2008). The interval is about other
    facts of these worlds and these trained models; how far seeds differ is seen from the values of each.

    Args:
        each: ``{"difference", "low", "high"}`` of a seed.
    """
    value, low, high = (np.array([one[name] for one in each]) for name in ("difference", "low", "high"))
    mean, count = value.mean(), len(each)
    below, above = (float(np.sqrt(np.sum((value - bound) ** 2)) / count) for bound in (low, high))
    return {"difference": float(mean), "low": float(mean - below), "high": float(mean + above)}


@cache
def _of_a_seed(outcome: Outcome, one: Path, other: Path, seed: int) -> Mapping[str, Any]:
    """A variant minus the reference on the questions of one seed: finished logs do not change."""
    if outcome.kind == LENS:
        return lens_differences(load_lens(one / "lens.jsonl"), load_lens(other / "lens.jsonl"), seed=seed)[
            outcome.direction
        ]
    first, second = (
        of_cell(list(read_jsonl(folder / ANSWERS)), outcome.kind, outcome.direction) for folder in (one, other)
    )
    return world_differences(first, second, seed)[outcome.kind][outcome.direction]
