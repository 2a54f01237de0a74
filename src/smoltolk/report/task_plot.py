"""``results.svg`` of ``smoltolk evaluate``: a row for each cell, its accuracy with its interval, chance, published.

Error rates of recognition and synthesis stand below, where there are some. :func:`runs_svg` has a row for each cell,
and in it each run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from smoltolk.report.plot_style import COLOURS, MARKERS, drawing, file_svg, rows_only
from smoltolk.report.side_by_side import Compared
from smoltolk.report.titles import cell_title

_LABEL = "Accuracy in percent of each task, with 95% intervals"
_ROW, _AXIS = 0.3, 1.1  # inches of a row, and of what stands below the rows
_STYLES = tuple(MARKERS)
MOST_RUNS = len(_STYLES)


def task_svg(results: Mapping[str, Any]) -> str | None:
    """The figure on white: the first rule filled, a second one hollow; small diamonds are published figures.

    Returns:
        None where there is nothing to draw.
    """
    accuracies = [
        (name, cell, task)
        for name, task in results["tasks"].items()
        for cell in next(iter(task["rules"].values()))["cells"]
    ]
    rates = [
        (f"{name}  {rate.upper()}", task[rate])
        for name, task in results.get("transcription", {}).items()
        for rate in ("wer", "cer")
    ]
    heights = [len(rows) * _ROW + _AXIS for rows in (accuracies, rates) if rows]
    if not heights:
        return None
    with drawing():
        figure = Figure(figsize=(9, sum(heights)), layout="constrained", facecolor="white")
        panels = list(figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0])
        if accuracies:
            _accuracies(panels.pop(0), accuracies)
        if rates:
            _rates(panels.pop(0), rates)
        return file_svg(figure, _LABEL)


def runs_svg(names: Sequence[str], compared: Sequence[Compared], chances: Mapping[str, float]) -> str:
    """Runs side by side on white, in pairs where a task has mirrored questions.

    Args:
        names: of the runs, :data:`MOST_RUNS` at most.
        compared: tasks.
        chances: of tasks of choices, by name; others are left out.
    """
    rows: list[tuple[str, float, list[Mapping[str, Any] | None]]] = []
    for task in (one for one in compared if one.task in chances):
        for cell in dict.fromkeys(cell for found in task.cells if found is not None for cell in found):
            each = [None if found is None else found.get(cell) for found in task.cells]
            paired = all(one is None or one.get("pair") for one in each)
            shown = [one and one["pair"] if paired else one for one in each]
            rows.append((f"{task.task}  {cell_title(cell)}" + ", in pairs" * paired, chances[task.task], shown))
    with drawing():
        height = len(rows) * (_ROW + 0.04 * len(names)) + _AXIS
        figure = Figure(figsize=(12.5, height), layout="constrained", facecolor="white")
        axes = figure.subplots()
        _prepare(axes, [label for label, _, _ in rows])
        for place, (_, chance, shown) in enumerate(rows):
            _mark(axes, chance, place)
            for number, found in enumerate(shown):
                if found is not None:
                    y = place + 0.7 * ((number + 0.5) / len(names) - 0.5)
                    _point(axes, found, found["accuracy"], y, _STYLES[number])
        looks = [
            Line2D([], [], color=COLOURS[style], marker=MARKERS[style], label=name)
            for name, style in zip(names, _STYLES, strict=False)
        ]
        figure.legend(handles=looks, loc="outside upper left", ncols=len(looks), frameon=False)
        axes.set_xlabel("accuracy, % · dashed: chance")
        return file_svg(figure, _LABEL)


def _accuracies(axes: Axes, rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
    _prepare(axes, [f"{name}  {cell_title(cell)}" for name, cell, _ in rows])
    rules: list[str] = []
    told = False
    for place, (_, cell, task) in enumerate(rows):
        _mark(axes, task["chance"], place)
        for figures in task["published"]:
            if figures["cell"] == cell:
                told = True
                axes.plot(100 * figures["accuracy"], place, "d", color=COLOURS["muted"], markersize=4)
        for number, (rule, found) in enumerate(list(task["rules"].items())[:2]):
            rules += [rule] if rule not in rules else []
            y = place + 0.14 * (2 * number - 1) * (len(task["rules"]) > 1)
            _point(axes, found["cells"][cell], found["cells"][cell]["accuracy"], y, _STYLES[number], number > 0)
    looks = " · ".join(f"{('filled', 'hollow')[number]}: {rule}" for number, rule in enumerate(rules[:2]))
    axes.set_xlabel(f"accuracy, % · dashed: chance{' · diamonds: published' * told}\n{looks}")


def _rates(axes: Axes, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    _prepare(axes, [label for label, _ in rows])
    for place, (_, rate) in enumerate(rows):
        _point(axes, rate, rate["value"], place, "late")
    axes.set_xlim(left=0)
    axes.set_xlabel("errors, % of the words or letters of the texts; less is better")


def _prepare(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_facecolor("white")
    axes.set_yticks(range(len(labels)), [label.replace("->", " → ") for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    rows_only(axes)


def _mark(axes: Axes, chance: float, place: int) -> None:
    axes.plot([100 * chance] * 2, [place - 0.4, place + 0.4], color=COLOURS["muted"], linestyle=(0, (2, 2)))


def _point(axes: Axes, cell: Mapping[str, Any], value: float, y: float, style: str, hollow: bool = False) -> None:
    """A value, and its interval where one is known."""
    if cell["low"] is not None:
        axes.hlines(y, 100 * cell["low"], 100 * cell["high"], color=COLOURS[style], linewidth=1.5)
    marker = MARKERS[style] if not hollow else "o"
    face = "white" if hollow else COLOURS[style]
    axes.plot(100 * value, y, marker, color=COLOURS[style], markersize=5.5, markerfacecolor=face)
