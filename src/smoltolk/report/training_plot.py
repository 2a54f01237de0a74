"""Curves of trainings side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.figure import Figure

from smoltolk.report.markdown import escaped, table
from smoltolk.report.plot_style import COLOURS, LINES, MARKERS, drawing, page_svg

History = Sequence[Mapping[str, Any]]
CURVES = {
    "loss": "Training loss",
    "speech_loss": "Speech, nats per unit",
    "text_loss": "Text, nats per token",
    "learning_rate": "Learning rate",
}


def training_svg(histories: Mapping[str, History]) -> str:
    """A panel for each quantity that some training has, a line for each training.

    Args:
        histories: by name; dicts with ``step`` and numbers.
    """
    shown = _shown(histories)
    if not shown:
        return ""
    with drawing():
        figure = Figure(figsize=(10, 3.0 + 0.25 * len(histories)), layout="constrained")
        styles = cycle(MARKERS)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for (name, history), style in zip(histories.items(), styles, strict=False):
            for axes, key in zip(panels, shown, strict=True):
                found = [point for point in history if key in point]
                # A dollar would begin a formula.
                label = name.replace("$", r"\$").lstrip("_") if axes is panels[0] else None
                values = [point[key] for point in found]
                axes.plot([p["step"] for p in found], values, color=COLOURS[style], linestyle=LINES[style], label=label)
        for axes, key in zip(panels, shown, strict=True):
            axes.set_title(CURVES[key])
            axes.set_xlabel("step")
            axes.locator_params(axis="x", integer=True)
            axes.grid(alpha=0.6)
        figure.legend(loc="outside lower center", frameon=False, ncols=1)
        return page_svg(figure, "trainings", "Training curves")


def training_table(histories: Mapping[str, History]) -> str:
    """What each training came to at its last step."""
    shown = _shown(histories)
    rows = []
    for name, history in histories.items():
        last = {key: next((point[key] for point in reversed(history) if key in point), None) for key in shown}
        told = ["" if value is None else f"{value:.4g}" for value in last.values()]
        rows.append([escaped(name), str(history[-1]["step"]), *told])
    return table(["", "steps", *(f"last {CURVES[key].lower()}" for key in shown)], rows)


def _shown(histories: Mapping[str, History]) -> list[str]:
    return [key for key in CURVES if any(key in point for history in histories.values() for point in history)]
