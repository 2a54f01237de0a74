"""Figures of the report beside those of the outcomes; they take their colours from the page, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from smoltolk.report.plot_style import (
    COLOURS,
    LINES,
    MARKERS,
    chance_line,
    drawing,
    page_svg,
    percent_floor,
    rows_only,
    width,
)
from smoltolk.report.results import DIRECTIONS, KINDS, shown_systems
from smoltolk.report.titles import KIND_TITLES

# Answers stand below the sentences that they are the last word of.
_GRID = (("story", "fact_heard", "fact_read"), (None, "fact_heard_answer", "fact_read_answer"))
_CURVES = {"loss": "Training loss", "speech_nll": "Speech, nats per unit", "text_nll": "Text, nats per token"}


def accuracy_svg(results: Mapping[str, Any], narrow: bool = False) -> str:
    """Accuracy and interval of each system in each cell, each question by itself."""
    grid = tuple((kind,) for kind in KINDS) if narrow else _GRID
    with drawing():
        size = (width(narrow), 11.5 if narrow else 6.8)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.04, hspace=0.03))
        panels = figure.subplots(len(grid), len(grid[0]), sharex=True, sharey=True, squeeze=False)
        for row, kinds in enumerate(grid):
            for column, kind in enumerate(kinds):
                if kind is None:
                    panels[row][column].set_visible(False)
                    continue
                _accuracy_panel(panels[row][column], results, kind)
                # In a row with a gap the names of rows stand at the first panel that there is.
                first = all(other is None for other in kinds[:column])
                panels[row][column].tick_params(labelleft=first, labelbottom=True)
                if row == len(grid) - 1 or grid[row + 1][column] is None:
                    panels[row][column].set_xlabel("accuracy, %")
        panels[0][0].set_yticks(range(len(DIRECTIONS)), [way.replace("->", " → ") for way in DIRECTIONS])
        panels[0][0].set_ylim(len(DIRECTIONS) - 0.5, -0.5)
        # Room at the right end, so that a marker at 100% is whole.
        panels[0][0].set_xlim(max(0, percent_floor(_lows(results)) - 6), 103)
        label = "Accuracy by kind of question, direction and system"
        return page_svg(figure, "accuracy-narrow" if narrow else "accuracy", label)


def _lows(results: Mapping[str, Any]) -> list[float]:
    models = [results["models"][system] for system in shown_systems(results)]
    return [model[kind][way]["low"] for model in models for kind in KINDS for way in DIRECTIONS]


def _accuracy_panel(axes: Axes, results: Mapping[str, Any], kind: str) -> None:
    systems = shown_systems(results)
    axes.set_title(KIND_TITLES[kind], fontsize=11)
    chance_line(axes)
    offsets = np.linspace(-0.27, 0.27, len(systems))
    for row, way in enumerate(DIRECTIONS):
        for offset, system in zip(offsets, systems, strict=True):
            cell = results["models"][system][kind][way]
            colour, y = COLOURS[system], row + offset
            axes.hlines(y, 100 * cell["low"], 100 * cell["high"], color=colour, linewidth=2.2)
            axes.plot(100 * cell["accuracy"], y, MARKERS[system], color=colour, markersize=5.5)
    rows_only(axes)


def curves_svg(results: Mapping[str, Any]) -> str:
    """Training curves: a panel for each quantity, a line for each system; empty where there are none."""
    curves: Mapping[str, Sequence[Mapping[str, float]]] = results.get("curves", {})
    shown = [key for key in _CURVES if any(key in point for points in curves.values() for point in points)]
    if not shown:
        return ""
    with drawing():
        figure = Figure(figsize=(10, 3.0), layout="constrained")
        for axes, key in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            for system in shown_systems(results):
                points = [point for point in curves.get(system, ()) if key in point]
                steps, values = [point["step"] for point in points], [point[key] for point in points]
                thick = 2.2 if system == "late" else 1.6
                axes.plot(steps, values, color=COLOURS[system], linewidth=thick, linestyle=LINES[system])
            axes.set_title(_CURVES[key])
            axes.set_xlabel("step")
            axes.grid(alpha=0.6)
        return page_svg(figure, "curves", "Training curves by system")


def selector_svg(results: Mapping[str, Any]) -> str:
    """Mean weight that late fusion's selector gives to each layer at speech positions; empty where there is none."""
    selector: Mapping[str, Sequence[Any]] = results.get("selector", {})
    if not selector:
        return ""
    labels, weights = [str(label) for label in selector["layers"]], [float(w) for w in selector["weights"]]
    with drawing():
        figure = Figure(figsize=(5, max(1.9, 0.9 + 0.34 * len(labels))), layout="constrained")
        axes = figure.subplots()
        # The last layer on top, as networks are drawn.
        axes.barh(labels, weights, color=COLOURS["late"], height=0.62)
        axes.axvline(1 / len(labels), color=COLOURS["muted"], linewidth=1, linestyle=(0, (2, 2)))
        axes.set_xlim(0, max(1.12 * max(weights), 1.3 / len(labels)))
        for row, weight in enumerate(weights):
            axes.annotate(f"{weight:.2f}", (weight, row), (5, 0), textcoords="offset points", va="center")
        # The input adapter's layers, where they are mixed too, are called "in 1" and so on.
        axes.set_ylabel("backbone layer" if all(label.isdigit() for label in labels) else "layer")
        axes.set_xlabel("mean weight (dashed: all layers alike)")
        axes.tick_params(axis="y", length=0)
        return page_svg(figure, "selector", "Mean selector weight by layer")
