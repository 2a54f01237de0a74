"""``results.svg`` of ``smoltolk evaluate``: a row for each cell, its accuracy with its interval, chance, published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from smoltolk.report.plot_style import COLOURS, drawing, file_svg, rows_only

_LABEL = "Accuracy in percent of each task, with 95% intervals"


def task_svg(results: Mapping[str, Any]) -> str:
    """The figure on white: the first rule filled, a second one hollow; small diamonds are published figures."""
    rows = [
        (name, cell, task)
        for name, task in results["tasks"].items()
        for cell in next(iter(task["rules"].values()))["cells"]
    ]
    with drawing():
        figure = Figure(figsize=(9, 1.4 + 0.3 * len(rows)), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.set_facecolor("white")
        rules: list[str] = []
        for place, (_, cell, task) in enumerate(rows):
            chance = 100 * task["chance"]
            axes.plot([chance, chance], [place - 0.4, place + 0.4], color=COLOURS["muted"], linestyle=(0, (2, 2)))
            for figures in task["published"]:
                if figures["cell"] == cell:
                    axes.plot(100 * figures["accuracy"], place, "d", color=COLOURS["muted"], markersize=4)
            for number, (rule, found) in enumerate(list(task["rules"].items())[:2]):
                rules += [rule] if rule not in rules else []
                one, y = found["cells"][cell], place + 0.14 * (2 * number - 1) * (len(task["rules"]) > 1)
                colour = COLOURS[("late", "early")[number]]
                axes.hlines(y, 100 * one["low"], 100 * one["high"], color=colour, linewidth=1.5)
                style: Any = {"markerfacecolor": colour if number == 0 else "white"}
                axes.plot(100 * one["accuracy"], y, "o", color=colour, markersize=6, **style)
        names = [f"{name}  {cell}".replace("->", " → ") for name, cell, _ in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        told = " · ".join(f"{('filled', 'hollow')[number]}: {rule}" for number, rule in enumerate(rules[:2]))
        axes.set_xlabel(f"accuracy, % · dashed: chance · diamonds: published\n{told}")
        rows_only(axes)
        return file_svg(figure, _LABEL)
