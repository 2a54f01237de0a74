"""``ablation.md``: the figures of an ablation as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from smoltolk.quickstart.ablation_results import NOT_RUN, accuracy
from smoltolk.quickstart.trials import heard_facts
from smoltolk.report.results import OUTCOMES
from smoltolk.report.wording import percent, points

Value = Callable[[Mapping[str, Any]], float]
_HEADS = [f"{outcome.title} ({outcome.direction})" for outcome in OUTCOMES]


def markdown(results: Mapping[str, Any]) -> str:
    """The tables of :func:`smoltolk.quickstart.ablation_results.gather`'s results."""
    seeds = " / ".join(map(str, results["seeds"]))
    before = [results["data"].get(str(seed), {}).get("text_nll_before") for seed in results["seeds"]]
    parts = [
        "# Ablation",
        f"Scale {results['scale']}, {results['steps']:,} steps unless the last table says otherwise, seeds {seeds}."
        f" Cells hold a value a seed, in this order, and their mean. {_missing(results)}",
        "The outcomes named before any run: facts only read, asked by the answer alone, a question with its mirror"
        " image, accuracy in %, chance is 50; inside: the text head at the last layer. Heard: facts that were heard,"
        " asked alike, mean of S->S, S->T and T->S. NLL in nats, of held-out stories; of text before speech came:"
        f" {_cell(before, _nats)}.",
        _table(("variant", *_HEADS, "heard", "story S->S", "speech NLL", "text NLL"), _outcome_rows(results)),
    ]
    differences = _difference_rows(results)
    if differences:
        parts += [
            "## Differences to late",
            "Points, variant minus late: the mean over seeds of paired differences, with a 95% interval over the facts"
            " of each seed's world (not over seeds).",
            _table(("variant", *_HEADS), differences),
        ]
    parts += [
        "## Trainings",
        "Seconds are of training, on one thread beside others. Tuning: heard facts in % (and speech NLL) at each rate,"
        f" on the first seed; most heard facts is chosen, then the lower NLL.{_longer(results)}",
        _table(("variant", "steps", "rate", "parameters", "seconds", "tuning"), _training_rows(results)),
    ]
    return "\n\n".join(parts) + "\n"


def _missing(results: Mapping[str, Any]) -> str:
    count = len(results["missing"])
    return f"{count} of {len(results['variants']) * len(results['seeds'])} are not run." if count else "All are run."


def _longer(results: Mapping[str, Any]) -> str:
    factors = {
        entry["title"]: next(iter(entry["seeds"].values()))["factor"]
        for entry in results["variants"].values()
        if entry["seeds"]
    }
    told = [f" {title}: {factor:g} times as long, as measured." for title, factor in factors.items() if factor != 1]
    return "".join(told)


def _outcome_rows(results: Mapping[str, Any]) -> list[Sequence[str]]:
    values: list[tuple[Value, Callable[[float], str]]] = [
        *((partial(accuracy, outcome=outcome), percent) for outcome in OUTCOMES),
        (heard_facts, percent),
        (lambda figures: figures["story"]["S->S"]["accuracy"], percent),
        (lambda figures: figures["speech_nll"], _nats),
        (lambda figures: figures["text_nll_after"], _nats),
    ]
    return [
        (entry["title"], *(_cell(_each(results, entry, value), form) for value, form in values))
        for entry in results["variants"].values()
    ]


def _each(results: Mapping[str, Any], entry: Mapping[str, Any], value: Value) -> list[float | None]:
    found = (entry["seeds"].get(str(seed)) for seed in results["seeds"])
    return [None if figures is None else value(figures) for figures in found]


def _cell(values: Sequence[float | None], form: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return NOT_RUN
    each = " / ".join(NOT_RUN if value is None else form(value) for value in values)
    return f"{each} ({form(sum(known) / len(known))})" if len(values) > 1 else each


def _nats(value: float) -> str:
    return f"{value:.3f}"


def _difference_rows(results: Mapping[str, Any]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for entry in results["variants"].values():
        found = [entry["outcomes"][outcome.name]["difference"] for outcome in OUTCOMES]
        if any(found):
            rows.append((entry["title"], *map(_interval, found)))
    return rows


def _interval(difference: Mapping[str, float]) -> str:
    value, low, high = (points(difference[key]) for key in ("difference", "low", "high"))
    return f"{value} ({low} to {high})"


def _training_rows(results: Mapping[str, Any]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for entry in results["variants"].values():
        known = list(entry["seeds"].values())
        rate = NOT_RUN if entry["rate"] is None else f"{entry['rate']:g}"
        tuning = "; ".join(
            f"{rate}: {percent(heard_facts(figures))} ({_nats(figures['speech_nll'])})"
            for rate, figures in entry["tuning"].items()
        )
        steps, parameters = ({f"{figures[key]:,}": 0 for figures in known} for key in ("steps", "parameters"))
        seconds = _cell(_each(results, entry, lambda figures: figures["train_seconds"]), "{:.0f}".format)
        told = [" / ".join(each) or NOT_RUN for each in (steps, parameters)]
        rows.append((entry["title"], told[0], rate, told[1], seconds, tuning or "none"))
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
