"""Figures of the log of trainings: what is held out, what the selector selects, gradients and speed, by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from smoltolk.report.plot_style import COLOURS, LINES, drawing, page_svg

Lines = Sequence[Mapping[str, Any]]  # of log.jsonl
# Colours and lines: those of the systems, and two more.
_STYLES = [
    *((COLOURS[name], LINES[name]) for name in LINES),
    (COLOURS["ink"], (0, (1, 1))),
    (COLOURS["muted"], (0, (8, 2))),
]
_HELD_OUT = {"speech_nll": "Held-out speech, nats per unit", "text_nll": "Held-out text, nats per token"}
_WER = {"recognition_wer": "WER of what it writes", "synthesis_wer": "WER of what it says"}
_ACCURACY = "Accuracy: "
_RUNNING = {
    "speech_loss": "Training, speech by task",
    "text_loss": "Training, text by task",
    "grad_norm": "Gradient norm before clipping",
    "ids_per_second": "Ids a second",
    "mfu": "MFU",
    "selector_entropy": "Selector entropy, nats",
    "rss_gb": "Memory of the process, GB",
    "gpu_gb": "Memory on the GPU, GB",
}
_ACROSS, _PANEL = 3, (3.4, 2.5)  # panels side by side; inches of each


def held_out_svg(logs: Mapping[str, Lines]) -> str:
    """Held-out likelihood, cloze accuracies and word error rates by step; empty where nothing was validated.

    Args:
        logs: lines by the name of the run. Of a single run there is a line for each task, too.
    """
    kept = {name: [line for line in lines if line.get("kind") == "held_out"] for name, lines in logs.items()}
    known = sorted({key for lines in kept.values() for line in lines for key in line if _is_number(line[key])})
    panels = [_panel(title, key, kept, known) for key, title in _HELD_OUT.items() if key in known]
    panels += [_panel(_WER[key], key, kept, known) for key in _WER if key in known]
    # Accuracies: of one run its directions together, of several a panel for each that two of them have.
    asked = [key for key in known if "->" in key]
    if len(kept) == 1:
        kinds = dict.fromkeys(key.partition("/")[0] for key in asked)
        panels += [
            (_accuracy(kind), [(n, key) for n in kept for key in asked if key.startswith(f"{kind}/")]) for kind in kinds
        ]
    else:
        shared = [key for key in asked if sum(any(key in line for line in lines) for lines in kept.values()) > 1]
        panels += [(_accuracy(key), [(name, key) for name in kept]) for key in shared]
    return _drawn(panels, kept, "held-out", "Held-out figures by step")


def running_svg(logs: Mapping[str, Lines]) -> str:
    """Gradient norms (of a single run by group), speed and memory by step; empty where nothing was logged."""
    kept = {name: [line for line in lines if line.get("kind") == "train"] for name, lines in logs.items()}
    known = {key for lines in kept.values() for line in lines for key in line if _is_number(line[key])}
    shown = [key for key in _RUNNING if key in known and (len(kept) == 1 or not key.endswith("_loss"))]
    panels = [_panel(_RUNNING[key], key, kept, sorted(known)) for key in shown]
    return _drawn(panels, kept, "running", "Gradients, speed and memory by step")


def selector_by_step_svg(lines: Lines, name: str) -> str:
    """What the selector weighs each layer by where held-out speech is predicted: a row a layer, a column a validation.

    Args:
        lines: of a run.
        name: part of the ids in the figure.
    """
    kept = [line for line in lines if line.get("kind") == "held_out" and isinstance(line.get("selector_weights"), list)]
    if not kept:
        return ""
    weights = np.array([line["selector_weights"] for line in kept], float)  # [validations, layers]
    steps = [float(line["step"]) for line in kept]
    borders = [0.0, *steps]
    with drawing():
        height = max(1.9, 1.1 + 0.3 * weights.shape[1])
        figure = Figure(figsize=(10, height), layout="constrained")
        axes = figure.subplots()
        for column, row in np.ndindex(*weights.shape):
            left, right = borders[column], borders[column + 1]
            share = float(weights[column, row] / weights.max())
            cell = Rectangle((left, row + 0.5), right - left, 1, facecolor=COLOURS["late"], alpha=share, linewidth=0)
            axes.add_patch(cell)
        for row, weight in enumerate(weights[-1]):
            axes.annotate(f"{weight:.2f}", (steps[-1], row + 1), (5, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, steps[-1])
        axes.set_ylim(0.5, weights.shape[1] + 0.5)  # the last layer on top, as networks are drawn
        axes.set_yticks(range(1, weights.shape[1] + 1))
        axes.set_ylabel("layer")
        axes.set_xlabel(f"step (full colour: {weights.max():.2f}; numbers: at the end)")
        axes.tick_params(axis="y", length=0)
        return page_svg(figure, f"selector-{name}", "Selector weight of each layer by step")


Panel = tuple[str, list[tuple[str, str]]]  # title; (run, key) of each line in it


def _accuracy(key: str) -> str:
    return f"{_ACCURACY}{key.replace('_', ' ').replace('/', ' ').replace('->', ' → ')}"


def _panel(title: str, key: str, logs: Mapping[str, Lines], known: Iterable[str]) -> Panel:
    """A line for each run; of a single run also for each part of the figure: ``TASK/key`` or ``key/GROUP``."""
    lines = [(name, key) for name in logs]
    if len(logs) == 1:
        parts = [other for other in known if other.endswith(f"/{key}") or other.startswith(f"{key}/")]
        lines += [(name, part) for name in logs for part in parts]
    return title, lines


def _drawn(panels: Sequence[Panel], logs: Mapping[str, Lines], name: str, label: str) -> str:
    if not panels:
        return ""
    single = len(logs) == 1
    rows = -(-len(panels) // _ACROSS)
    with drawing():
        size = (_PANEL[0] * _ACROSS, _PANEL[1] * rows + (0 if single else 0.25 * len(logs)))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, _ACROSS, squeeze=False).flatten()
        for axes, (title, drawn) in zip(grid, panels, strict=False):
            _draw(axes, title, drawn, logs, _named_part if single else lambda run, key: run)
            if single and len(drawn) > 1:
                across = {"loc": "upper center", "ncols": 4, "columnspacing": 1.0, "handlelength": 1.4}
                axes.legend(frameon=False, fontsize=9, **(across if title.startswith(_ACCURACY) else {}))
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        if not single:
            handles, names = grid[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", frameon=False, ncols=1)
        return page_svg(figure, name, label)


def _named_part(run: str, key: str) -> str:
    """``speech`` of ``speech/speech_nll`` and of ``grad_norm/speech``; the figure itself is of all."""
    before, slash, behind = key.partition("/")
    part = before if behind.endswith(("_nll", "_loss")) else behind
    return "all" if not slash else part.replace("_", " ").replace("->", " → ")


def _draw(
    axes: Axes,
    title: str,
    drawn: Sequence[tuple[str, str]],
    logs: Mapping[str, Lines],
    called: Callable[[str, str], str],
) -> None:
    for number, (run, key) in enumerate(drawn):
        points = [(line["step"], line[key]) for line in logs[run] if _is_number(line.get(key))]
        colour, line = _STYLES[number % len(_STYLES)]
        axes.plot(
            [step for step, _ in points],
            [value for _, value in points],
            color=colour,
            linestyle=line,
            marker="." if len(points) < 3 else None,
            label=called(run, key).replace("$", r"\$").lstrip("_"),
        )
    axes.set_title(title, fontsize=10.5)
    if title.startswith(_ACCURACY):
        axes.set_ylim(-0.03, 1.25 if len(logs) == 1 else 1.03)  # with room for the legend
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("step")
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.6)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
