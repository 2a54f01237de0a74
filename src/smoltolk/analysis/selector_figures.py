"""Figures of the selector: its weights by layer and by place in the word, and the word boundaries they mark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from smoltolk.analysis.boundaries import BASELINES, METHODS
from smoltolk.report.plot_style import MARKERS, REAL

WIDTH = 7.2  # inches: both columns of a paper
STYLES = ("late", "early", "early_plus", "early_long")  # of the first to the fourth model
_ERROR: dict[str, Any] = {"ecolor": REAL["ink"], "elinewidth": 0.9, "capsize": 1.5}


def selector_figure(models: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Mean weight by layer, by layer and place in the word, and entropy by place: a row for each model."""
    height = sum(1.1 + 0.2 * max(6, len(found["layers"])) for found in models.values())
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.04, hspace=0.06))
    panels = figure.subplots(len(models), 3, squeeze=False, width_ratios=(1, 1.5, 1.1))
    most = max(cell["high"] for found in models.values() for cell in found["weights"])
    for row, (name, found) in zip(panels, models.items(), strict=True):
        style = STYLES[found["place"]]
        colour, numbers = REAL[style], np.arange(len(found["layers"]))
        values, reach = _with_reach(found["weights"])
        row[0].barh(numbers, values, xerr=reach, color=colour, height=0.65, error_kw=_ERROR)
        row[0].axvline(1 / len(numbers), color=REAL["muted"], linewidth=0.9, linestyle=(0, (2, 3)))
        row[0].set_yticks(numbers, found["layers"])
        row[0].set_xlim(0, 1.05 * most)
        row[0].set_ylabel("layer")
        row[0].set_title(f"{name}: mean weight")
        places = found["places"]
        grid = np.array([[cell["value"] for cell in each["weights"]] for each in places.values()]).T
        image = row[1].imshow(grid, origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=max(grid.max(), 1e-9))
        for (layer, place), weight in np.ndenumerate(grid):
            if len(numbers) <= 12:
                dark = weight > 0.6 * grid.max()
                row[1].text(
                    place, layer, f"{weight:.2f}".removeprefix("0"), ha="center", va="center", fontsize=7,
                    color="white" if dark else REAL["ink"],
                )  # fmt: skip
        row[1].set_yticks(numbers, found["layers"])
        row[1].set_title("weight by place in the word")
        if len(numbers) > 12:
            figure.colorbar(image, ax=row[1], shrink=0.8)
        entropies, reach = _with_reach([each["entropy"] for each in places.values()])
        row[2].errorbar(
            range(len(places)), entropies, yerr=reach, color=colour, marker=MARKERS[style], markersize=4, **_ERROR
        )
        row[2].axhline(found["uniform_entropy"], color=REAL["muted"], linewidth=0.9, linestyle=(0, (2, 3)))
        row[2].set_ylim(0, 1.08 * found["uniform_entropy"])
        row[2].set_title("entropy, nats")
        row[2].grid(axis="y", alpha=0.6)
        for axes in row[1:]:
            axes.set_xticks(
                range(len(places)), [re.sub(r"\d+-(\d+)%", r"≤\1", place) for place in places], fontsize=7.5
            )
            axes.set_xlabel("place in the word, %")
        row[0].set_xlabel("dashed: all alike")
    return figure


def boundaries_figure(models: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Precision, recall and F1 of word boundaries at both tolerances."""
    first = next(iter(models.values()))
    tolerances = [name for name in first if name.isdigit()]
    rows: list[tuple[str, int | None, Mapping[str, Any], str]]
    rows = [
        (f"{name}: {method}", found["place"] if method == METHODS[0] else None, found, method)
        for name, found in models.items()
        for method in METHODS
    ]
    rows += [(method, None, first, method) for method in BASELINES]
    height = 1.1 + 0.36 * len(rows)
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.04))
    panels = figure.subplots(1, len(tolerances), squeeze=False, sharey=True)[0]
    looks = {"precision": ("<", "none"), "recall": (">", "none"), "f1": ("o", None)}
    for axes, tolerance in zip(panels, tolerances, strict=True):
        for row, (_, place, found, method) in enumerate(rows):
            colour = REAL["muted"] if place is None else REAL[STYLES[place]]
            for score, (marker, face) in looks.items():
                cell = found[tolerance][method][score]
                y = row + {"precision": -0.22, "recall": 0.22, "f1": 0}[score]
                axes.hlines(y, cell["low"], cell["high"], color=colour, linewidth=2.2 if score == "f1" else 1)
                axes.plot(cell["value"], y, marker, color=colour, markersize=5.5, markerfacecolor=face or colour)
        axes.set_title(f"within {tolerance} ms")
        axes.set_xlim(0, 1.03)  # room for the whole mark of a recall of 1
        axes.grid(axis="x", alpha=0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(rows)), [name for name, *_ in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.supxlabel("◁ precision   ● F1   ▷ recall", fontsize=9, color=REAL["muted"])
    return figure


def _with_reach(cells: Any) -> tuple[list[float], np.ndarray]:
    values = [cell["value"] for cell in cells]
    reach = [[cell["value"] - cell["low"] for cell in cells], [cell["high"] - cell["value"] for cell in cells]]
    return values, np.maximum(np.array(reach), 0)
