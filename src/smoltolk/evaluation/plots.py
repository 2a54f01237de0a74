"""Figures of the report, as SVG that takes its colours from the page: they suit light and dark screens."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from smoltolk.evaluation.results import CHANCE, COMPARED, DECIDING, DIRECTIONS, KINDS

# matplotlib needs real colours: each stands for a CSS variable of the page and is exchanged after drawing.
_COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "band": "#010206",
    "late": "#010207",
    "early": "#010208",
    "early_plus": "#010209",
}
_MARKERS = {"late": "o", "early": "s", "early_plus": "D"}
_LINES: dict[str, Any] = {"late": "-", "early": (0, (5, 1.5)), "early_plus": (0, (2, 1))}
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched and takes the page's font
    "font.size": 11,
    "font.family": "sans-serif",
    "text.color": _COLOURS["ink"],
    "axes.labelcolor": _COLOURS["muted"],
    "axes.edgecolor": _COLOURS["line"],
    "axes.titlecolor": _COLOURS["ink"],
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _COLOURS["line"],
    "ytick.color": _COLOURS["line"],
    "xtick.labelcolor": _COLOURS["muted"],
    "ytick.labelcolor": _COLOURS["ink"],
    "grid.color": _COLOURS["line"],
    "grid.linewidth": 0.6,
}
_DIRECTION_LABELS = {way: way.replace("->", " → ") for way in DIRECTIONS}
KIND_TITLES = {"story": "Stories", "fact_heard": "Facts heard", "fact_read": "Facts only read"}


def accuracy_figure(results: Mapping[str, Any]) -> str:
    """Accuracy and interval of each system in each cell; the deciding cells on a shaded band."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(10, 3.7), layout=ConstrainedLayoutEngine(wspace=0.06))
        panels = figure.subplots(1, len(KINDS), sharex=True, sharey=True)
        for axes, kind in zip(panels, KINDS, strict=True):
            _accuracy_panel(axes, results["models"], kind)
        panels[0].set_yticks(range(len(DIRECTIONS)), [_DIRECTION_LABELS[way] for way in DIRECTIONS])
        panels[0].set_ylim(len(DIRECTIONS) - 0.5, -0.5)
        # One decimal place of room at both ends, so that a marker at 100% is whole.
        panels[0].set_xlim(max(0, _lowest(results) - 6), 103)
        return _svg(figure, "accuracy", "Accuracy of three systems by kind of question and direction")


def _lowest(results: Mapping[str, Any]) -> float:
    cells = (results["models"][s][k][d]["low"] for s in COMPARED for k in KINDS for d in DIRECTIONS)
    return 10 * (100 * min(*cells, CHANCE) // 10)


def _accuracy_panel(axes: Axes, models: Mapping[str, Any], kind: str) -> None:
    axes.set_title(KIND_TITLES[kind])
    axes.axvline(100 * CHANCE, color=_COLOURS["muted"], linewidth=1, linestyle=(0, (2, 2)))
    for row, way in enumerate(DIRECTIONS):
        if (kind, way) in DECIDING:
            axes.axhspan(row - 0.45, row + 0.45, color=_COLOURS["band"], linewidth=0, zorder=0)
        for offset, system in zip((-0.25, 0, 0.25), COMPARED, strict=True):
            cell = models[system][kind][way]
            colour, y = _COLOURS[system], row + offset
            axes.hlines(y, 100 * cell["low"], 100 * cell["high"], color=colour, linewidth=2.2)
            axes.plot(100 * cell["accuracy"], y, _MARKERS[system], color=colour, markersize=6)
    axes.set_xlabel("accuracy, %")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.6)
    axes.set_axisbelow(True)


def curve_figure(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Training curves: a panel for each quantity, a line for each system."""
    titles = {
        "loss": "Training loss",
        "speech_nll": "Speech, nats per unit",
        "text_nll": "Text, nats per token",
    }
    shown = [key for key in titles if any(key in point for points in curves.values() for point in points)]
    if not shown:
        return ""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(10, 3.0), layout="constrained")
        for axes, key in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            for system in COMPARED:
                points = [point for point in curves.get(system, ()) if key in point]
                steps, values = [point["step"] for point in points], [point[key] for point in points]
                width = 2.2 if system == "late" else 1.6
                axes.plot(steps, values, color=_COLOURS[system], linewidth=width, linestyle=_LINES[system])
            axes.set_title(titles[key])
            axes.set_xlabel("step")
            axes.grid(alpha=0.6)
        return _svg(figure, "curves", "Training curves of three systems")


def selector_figure(selector: Mapping[str, Sequence[Any]]) -> str:
    """Mean weight that late fusion's selector gives to each layer at speech positions."""
    labels, weights = [str(label) for label in selector["layers"]], [float(w) for w in selector["weights"]]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5, max(1.9, 0.9 + 0.34 * len(labels))), layout="constrained")
        axes = figure.subplots()
        # The last layer on top, as networks are drawn.
        axes.barh(labels, weights, color=_COLOURS["late"], height=0.62)
        axes.axvline(1 / len(labels), color=_COLOURS["muted"], linewidth=1, linestyle=(0, (2, 2)))
        axes.set_xlim(0, max(1.12 * max(weights), 1.3 / len(labels)))
        for row, weight in enumerate(weights):
            axes.annotate(f"{weight:.2f}", (weight, row), (5, 0), textcoords="offset points", va="center")
        # The input adapter's layers, where they are mixed too, are called "in 1" and so on.
        axes.set_ylabel("backbone layer" if all(label.isdigit() for label in labels) else "layer")
        axes.set_xlabel("mean weight (dashed: all layers alike)")
        axes.tick_params(axis="y", length=0)
        return _svg(figure, "selector", "Mean selector weight by layer")


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element: the page's colours and font, ids of its own, no date."""
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # Several figures share a page: every id gets the figure's name before it.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r"(font: [^;'\"]*?px) [^;\"]*", r"\1 var(--sans)", text)
    for variable, colour in _COLOURS.items():
        text = text.replace(colour, f"var(--{variable.replace('_', '-')})")
    view_box = re.search(r'viewBox="([^"]*)"', text)
    start = f'<svg role="img" aria-label="{label}" viewBox="{view_box[1] if view_box else ""}"'
    return re.sub(
        r"<svg [^>]*>",
        f'{start} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">',
        text,
        count=1,
    )
