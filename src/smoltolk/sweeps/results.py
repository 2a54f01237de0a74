"""``results.json`` and ``results.md`` of an experiment: every figure, and differences to the first arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from smoltolk.common.run_directory import RunDirectory
from smoltolk.sweeps.experiment import Arm, Experiment, Outcome
from smoltolk.sweeps.measures import difference_between, value_of
from smoltolk.sweeps.trials import Places, Trial, trials_of

NOT_RUN = "not run"


def gather(
    experiment: Experiment, run: RunDirectory, failures: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """The results as far as they are known.

    Args:
        experiment: what was asked for.
        run: its directory.
        failures: why trainings ended, by the name of their step.

    Returns:
        ``{"question", "outcomes", "seeds", "reference", "arms", "missing", "failed"}``; of an arm, by its name,
        ``changes``, ``parameters``, ``seconds``, and ``outcomes``: ``{"values": {seed: {"value", "low", "high",
        "n"}}, "mean", "difference"}``, where ``difference`` (None: of the first arm, or not known yet) is over the
        seeds that both have.
    """
    done = {
        arm.name: [seed for seed in experiment.seeds if run.done(Trial(arm, seed).name)] for arm in experiment.all_arms
    }
    first = experiment.all_arms[0]
    return {
        "question": experiment.question,
        "outcomes": [outcome.name for outcome in experiment.outcomes],
        "seeds": list(experiment.seeds),
        "reference": first.name,
        "arms": {
            arm.name: {
                "changes": dict(arm.changes),
                **_trained(run, arm, done[arm.name]),
                "outcomes": {
                    outcome.name: _outcome(run.path, outcome, arm, done[arm.name], first, done[first.name])
                    for outcome in experiment.outcomes
                },
            }
            for arm in experiment.all_arms
        },
        "missing": [
            {"arm": name, "seed": seed}
            for name, seeds in done.items()
            for seed in experiment.seeds
            if seed not in seeds
        ],
        "failed": [
            {"arm": trial.arm.name, "seed": trial.seed, "reason": failures[trial.name]}
            for trial in trials_of(experiment)
            if trial.name in failures
        ],
    }


def _trained(run: RunDirectory, arm: Arm, seeds: Sequence[int]) -> dict[str, Any]:
    figures = [run.figures(Trial(arm, seed).name) for seed in seeds]
    return {
        "parameters": figures[0]["parameters"] if figures else None,
        "seconds": [one["seconds"] for one in figures],
    }


def _outcome(
    out: Path, outcome: Outcome, arm: Arm, seeds: Sequence[int], first: Arm, first_seeds: Sequence[int]
) -> dict[str, Any]:
    places = Places(out)
    values = {str(seed): value_of(outcome, places.answers(Trial(arm, seed)), seed) for seed in seeds}
    both = [seed for seed in seeds if seed in first_seeds]
    difference = None
    if both and arm != first:
        ones, others = ([places.answers(Trial(each, seed)) for seed in both] for each in (arm, first))
        difference = difference_between(outcome, ones, others, both[0]) | {"of_seeds": both}
    mean = float(np.mean([one["value"] for one in values.values()])) if values else None
    return {"values": values, "mean": mean, "difference": difference}


def markdown(results: Mapping[str, Any]) -> str:
    """The table of :func:`gather`'s results."""
    names, seeds = results["outcomes"], results["seeds"]
    missing = len(results["missing"])
    rows = [["arm", *names, "parameters", "seconds"], ["---"] * (len(names) + 3)]
    for arm, entry in results["arms"].items():
        cells = [_cell(name, entry["outcomes"][name], seeds) for name in names]
        parameters = NOT_RUN if entry["parameters"] is None else f"{entry['parameters']:,}"
        seconds = " / ".join(f"{one:.0f}" for one in entry["seconds"]) or NOT_RUN
        rows.append([arm, *cells, parameters, seconds])
    told = f"{missing} of {len(results['arms']) * len(seeds)} trainings are not run." if missing else "All are run."
    lines = [
        f"# {results['question'] or 'An experiment'}",
        "",
        f"Outcomes named before any run: {', '.join(names)}; the first one decides. Cells: a value a seed"
        f" ({' / '.join(map(str, seeds))}), and in brackets the difference to {results['reference']}: the mean over"
        f" seeds, paired by item, with its 95% interval over items. NLL in nats per id, answers in %. {told}",
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    if results["failed"]:
        lines += ["", "Failed; the same command tries them again:", ""]
        lines += [f"- {one['arm']}, seed {one['seed']}: {one['reason']}" for one in results["failed"]]
    return "\n".join(lines) + "\n"


def _cell(name: str, found: Mapping[str, Any], seeds: Sequence[int]) -> str:
    form = (lambda value: f"{value:.3f}") if name.startswith("nll:") else (lambda value: f"{100 * value:.1f}")
    signed = (lambda value: f"{value:+.3f}") if name.startswith("nll:") else (lambda value: f"{100 * value:+.1f}")
    if not found["values"]:
        return NOT_RUN
    each = [found["values"].get(str(seed)) for seed in seeds]
    told = " / ".join(NOT_RUN if one is None else form(one["value"]) for one in each)
    difference = found["difference"]
    if difference is None:
        return told
    low, high = signed(difference["low"]), signed(difference["high"])
    return f"{told} ({signed(difference['difference'])}: {low} to {high})"
