"""Figures of the outcomes that were named before the run: these themselves, and the lens layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_text
from smoltolk.report.plot_style import (
    COLOURS,
    LINES,
    MARKERS,
    chance_line,
    drawing,
    file_svg,
    page_svg,
    percent_floor,
    rows_only,
    width,
)
from smoltolk.report.results import (
    LENS,
    LENS_WAYS,
    OUTCOMES,
    Outcome,
    cell_of,
    layer_names,
    shown_systems,
    validate_results,
)
from smoltolk.report.titles import LENS_TITLES, OUTCOME_MEASURES, SYSTEM_LEGENDS

_LABEL = "Percent of pairs right in the four outcomes named before the run, by system"
Runs = Sequence[Mapping[str, Any]]


def outcomes_svg(results: Mapping[str, Any], narrow: bool = False) -> str:
    """The declared outcomes for a page: a row each, in it a mark with its interval for each system."""
    with drawing():
        figure = Figure(figsize=(width(narrow), 5.6 if narrow else 4.2), layout="constrained")
        _outcomes(figure.subplots(), [results], narrow)
        return page_svg(figure, "outcomes-narrow" if narrow else "outcomes", _LABEL)


def outcomes_figure(results: Mapping[str, Any] | Runs, path: Path | str) -> Path:
    """Write the declared outcomes as an SVG file of its own, with its legend, on white.

    Args:
        results: of one run (intervals are those of its facts), or a list of several seeds' (large marks are
            means, small ones the seeds, lines reach from the lowest to the highest). Systems that not all
            of them hold are left out.
        path: of the file.

    Raises:
        InputError: no results, or some that break their schema.
    """
    runs = [results] if isinstance(results, Mapping) else list(results)
    if not runs:
        raise InputError("a figure needs the results of one run at least", "none", "give what results.json holds")
    for run in runs:
        validate_results(run)
    with drawing():
        figure = Figure(figsize=(9, 4.9), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.set_facecolor("white")
        systems = _outcomes(axes, runs, narrow=False)
        marks = [
            Line2D([], [], color=COLOURS[s], marker=MARKERS[s], linewidth=2.2, label=SYSTEM_LEGENDS[s]) for s in systems
        ]
        figure.legend(handles=marks, loc="outside lower left", ncols=2, frameon=False, labelcolor=COLOURS["ink"])
        axes.set_title("Facts that were only ever read: known in speech?", pad=10)
        lines = (
            "lines: 95% intervals over facts"
            if len(runs) == 1
            else f"means of {len(runs)} seeds, small marks: each of them"
        )
        axes.set_xlabel(f"pairs of questions right, % ({lines}; dashed: chance)")
        text = file_svg(figure, _LABEL)
    write_text(path, text)
    return Path(path)


def _outcomes(axes: Axes, runs: Runs, narrow: bool) -> list[str]:
    """Draw a band for each outcome, from ``row`` to ``row + 1``; return the systems in them."""
    systems = [s for s in shown_systems(runs[0]) if all(s in run["models"] for run in runs)]
    head = 0.26 if narrow else 0.0  # on a phone titles stand above their marks, elsewhere to the left
    middle, step = (1 + head) / 2, 0.76 * (1 - head) / len(systems)
    lows = []
    for row, outcome in enumerate(OUTCOMES):
        if row % 2 == 0:
            axes.axhspan(row, row + 1, color=COLOURS["band"], linewidth=0, zorder=0)
        chance_line(axes, span=(row + head, row + 1))
        _title(axes, outcome, row, narrow)
        for place, system in enumerate(systems):
            cells = [cell_of(run, system, outcome.kind, outcome.direction, pair=True) for run in runs]
            values = [cell["accuracy"] for cell in cells]
            ends = (cells[0]["low"], cells[0]["high"]) if len(runs) == 1 else (min(values), max(values))
            lows.append(ends[0])
            _mark(axes, system, row + middle + (place - (len(systems) - 1) / 2) * step, values, ends)
    axes.set_yticks([])
    axes.set_ylim(len(OUTCOMES), 0)
    axes.set_xlim(max(0, percent_floor(lows) - 2), 106)  # room for the number of one at 100%
    rows_only(axes)
    axes.set_xlabel("pairs right, %")
    return systems


def _title(axes: Axes, outcome: Outcome, row: int, narrow: bool) -> None:
    """What the model does, and how it is measured: in one line above the marks, or in two to their left."""
    across = axes.get_yaxis_transform()
    within: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False}
    small: dict[str, Any] = {"fontsize": 9.5, "color": COLOURS["muted"], "ha": "right"}
    measure = OUTCOME_MEASURES[outcome.name]
    if narrow:
        axes.annotate(outcome.title, (0, row), (4, -5), across, va="top", fontweight="bold", **within)
        axes.annotate(measure, (1, row), (-4, -6), across, va="top", **within, **small)
    else:
        place = (0, row + 0.5)
        axes.annotate(outcome.title, place, (-10, 2), across, va="bottom", ha="right", fontweight="bold", **within)
        axes.annotate(measure, place, (-10, -2), across, va="top", **within, **small)


def _mark(axes: Axes, system: str, y: float, values: Sequence[float], ends: tuple[float, float]) -> None:
    colour, mean = COLOURS[system], 100 * sum(values) / len(values)
    low, high = (100 * end for end in ends)
    axes.hlines(y, low, high, color=colour, linewidth=2.2)
    if len(values) > 1:
        axes.plot([100 * value for value in values], [y] * len(values), MARKERS[system], color=colour, markersize=4)
    axes.plot(mean, y, MARKERS[system], color=colour, markersize=7)
    axes.annotate(f"{mean:.0f}", (high, y), (6, 0), textcoords="offset points", va="center", color=colour, fontsize=10)


def lens_svg(results: Mapping[str, Any], narrow: bool = False) -> str:
    """The lens for a page: a panel while listening and one after reading, over layers a line for each system."""
    with drawing():
        figure = Figure(figsize=(width(narrow), 6.2 if narrow else 3.6), layout=ConstrainedLayoutEngine(wspace=0.05))
        shape = (len(LENS_WAYS), 1) if narrow else (1, len(LENS_WAYS))
        panels = figure.subplots(*shape, sharey=True).ravel()
        for axes, way in zip(panels, LENS_WAYS, strict=True):
            axes.set_title(f"{LENS_TITLES[way]} ({way.replace('->', ' → ')})")
            chance_line(axes, along="y")
            for system in shown_systems(results):
                _lens_line(axes, system, results["models"][system][LENS][way])
            axes.set_xlabel("layer")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.6)
        panels[0].set_ylabel("pairs right, %")
        if narrow:
            panels[1].set_ylabel("pairs right, %")
        return page_svg(figure, "lens-narrow" if narrow else "lens", "Lens by layer: percent of pairs right, by system")


def _lens_line(axes: Axes, system: str, layers: Mapping[str, Any]) -> None:
    names, colour = layer_names(layers), COLOURS[system]
    pairs = [layers[name]["pair"] for name in names]
    low, middle, high = ([100 * pair[key] for pair in pairs] for key in ("low", "accuracy", "high"))
    x = [int(name) for name in names]
    axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.plot(x, middle, color=colour, linewidth=2, linestyle=LINES[system])
    axes.plot(x[:-1], middle[:-1], MARKERS[system], color=colour, markersize=3.5)
    axes.plot(x[-1], middle[-1], MARKERS[system], color=colour, markersize=7)
