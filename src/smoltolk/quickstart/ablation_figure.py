"""``ablation.svg``: the declared outcomes of every variant, a point a seed and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from smoltolk.quickstart.ablation_results import NOT_RUN, REFERENCE, accuracy
from smoltolk.quickstart.variants import variant_named
from smoltolk.report.plot_style import COLOURS, chance_line, drawing, file_svg, percent_floor, rows_only
from smoltolk.report.results import BASELINES, CHANCE, OUTCOMES, Outcome
from smoltolk.report.titles import OUTCOME_MEASURES

_LEGEND = (
    "facts that were only read, % of pairs right · point: a seed, bar: their mean · dashed: chance, line: mean of late"
)


def ablation_svg(results: Mapping[str, Any]) -> str:
    """The figure as an SVG file on white: a panel for each outcome, a row for each variant.

    Args:
        results: of :func:`smoltolk.quickstart.ablation_results.gather`.
    """
    with drawing():
        return file_svg(_figure(results["variants"]), "Percent of pairs right in the declared outcomes, by variant")


def _figure(variants: Mapping[str, Any]) -> Figure:
    layout = ConstrainedLayoutEngine(wspace=0.04)
    figure = Figure(figsize=(12, 1.6 + 0.34 * len(variants)), layout=layout, facecolor="white")
    panels = figure.subplots(1, len(OUTCOMES), sharex=True, sharey=True)
    for axes, outcome in zip(panels, OUTCOMES, strict=True):
        _panel(axes, outcome, variants)
    panels[0].set_yticks(range(len(variants)), [entry["title"] for entry in variants.values()])
    panels[0].set_ylim(len(variants) - 0.5, -0.5)
    panels[0].set_xlim(max(0, percent_floor(_accuracies(variants)) - 4), 102)
    figure.supxlabel(_LEGEND, fontsize=10, color=COLOURS["muted"])
    return figure


def _accuracies(variants: Mapping[str, Any]) -> list[float]:
    trials = [figures for entry in variants.values() for figures in entry["seeds"].values()]
    return [accuracy(trial, outcome) for trial in trials for outcome in OUTCOMES]


def _panel(axes: Axes, outcome: Outcome, variants: Mapping[str, Any]) -> None:
    axes.set_facecolor("white")
    axes.set_title(f"{outcome.title}\n{OUTCOME_MEASURES[outcome.name]}", fontsize=11, fontweight="normal")
    chance_line(axes)
    reference = variants[REFERENCE]["outcomes"][outcome.name]["mean"] if REFERENCE in variants else None
    if reference is not None:
        axes.axvline(100 * reference, color=COLOURS["late"], linewidth=1, alpha=0.5, zorder=1)
    for row, (name, entry) in enumerate(variants.items()):
        each = [100 * accuracy(figures, outcome) for figures in entry["seeds"].values()]
        if not each:
            place: Any = {"textcoords": "offset points", "va": "center"}
            axes.annotate(NOT_RUN, (100 * CHANCE, row), (4, 0), **place, color=COLOURS["muted"], fontsize=9)
            continue
        colour = COLOURS[_colour(name)]
        axes.hlines(row, min(each), max(each), color=colour, alpha=0.3, linewidth=1.5, zorder=2)
        axes.plot(sum(each) / len(each), row, "|", color=colour, markersize=15, markeredgewidth=3.2, zorder=3)
        axes.plot(each, [row] * len(each), "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)
    rows_only(axes)


def _colour(name: str) -> str:
    if name == REFERENCE:
        return "late"
    return "early" if variant_named(name).system in BASELINES else "ink"
