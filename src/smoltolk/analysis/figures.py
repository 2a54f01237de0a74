"""One figure for each part, for one to four models, in real colours: an SVG, and a PNG of 200 dots an inch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from smoltolk.analysis.selector_figures import STYLES, WIDTH, boundaries_figure, selector_figure
from smoltolk.analysis.tables import items_of
from smoltolk.common.files import atomic_file
from smoltolk.report.plot_style import MARKERS, REAL, printing

PROBES = {"phone": "phone at a unit", "word": "word", "sentence": "word in sentence"}  # and what is drawn above each
_LINE = 90  # letters and spaces of a legend in one line
Models = Mapping[str, Mapping[str, Any]]  # a part of each; ``place``: which of the models, for colour and marker
Cells = Sequence[Mapping[str, float | None]]


def draw(models: Models, out: Path) -> list[Path]:
    """Draw all figures that there are figures for.

    Args:
        models: of :func:`~smoltolk.analysis.run.analyse`, by name.
        out: directory.

    Returns:
        The files, two for each figure.
    """
    written = []
    for part, figure_of in FIGURES.items():
        shown = {
            name: {"place": place, **model[part]}
            for place, (name, model) in enumerate(models.items())
            if part in model and not isinstance(model[part].get("left_out"), str)
        }
        if not shown:
            continue
        with printing():
            figure = figure_of(shown)
            for suffix, more in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 200})):
                path = out / f"{part}{suffix}"
                with atomic_file(path) as temporary:
                    figure.savefig(temporary, **more)
                written.append(path)
    return written


def alignment_figure(models: Models) -> Figure:
    """CKA and mutual nearest neighbours by layer, of words and of sentences."""
    shown = dict(items_of(models))
    figure, panels = _panels(len(shown), 2, 0.2 + 2.2 * len(shown))
    for row, (items, having) in zip(panels, shown.items(), strict=True):
        for name, here in having.items():
            place = models[name]["place"]
            curve(row[0], here["cka_unbiased"], place)
            curve(row[0], here["cka"], place, faint=True)
            curve(row[1], here["knn"], place)
            level(row[1], here["chance"])
        row[0].set_title(f"{here['n']} {items}: linear CKA, speech and text")
        row[1].set_title(f"{here['n']} {items}: mutual k-NN, k = {here['k']}")
        row[0].set_ylim(bottom=min(0, row[0].dataLim.y0))  # the unbiased one falls below 0 where nothing is alike
        row[1].set_ylim(bottom=0)
    _finish(figure, panels, models, {"unbiased": {}, "biased": _FAINT, "chance": _LEVEL})
    return figure


def geometry_figure(models: Models) -> Figure:
    """Intrinsic dimension and overlap of subspaces by layer, of words and of sentences."""
    shown = dict(items_of(models))
    figure, panels = _panels(len(shown), 2, 0.2 + 2.2 * len(shown))
    for row, (items, having) in zip(panels, shown.items(), strict=True):
        for name, here in having.items():
            place = models[name]["place"]
            curve(row[0], here["dimension_speech"], place)
            curve(row[0], here["dimension_text"], place, hollow=True)
            curve(row[1], here["overlap"], place)
            level(row[1], here["chance"])
        row[0].set_title(f"{here['n']} {items}: intrinsic dimension (TwoNN)")
        row[1].set_title(f"{here['n']} {items}: overlap of {here['directions']} directions")
        for axes in row:
            axes.set_ylim(bottom=0)
    _finish(figure, panels, models, {"speech": {}, "text": _HOLLOW, "random subspaces": _LEVEL})
    return figure


def lens_figure(models: Models) -> Figure:
    """How often the token of a word is among the text head's candidates, by layer."""
    titles = {"heard": "listening: this word", "heard_next": "listening: next word", "read_next": "reading: next word"}
    having = [series for series in titles if any(series in found for found in models.values())]
    figure, panels = _panels(1, len(having), 2.9)
    for axes, series in zip(panels[0], having, strict=True):
        for found in models.values():
            if series in found:
                curve(axes, found[series]["top"]["1"], found["place"])
                curve(axes, found[series]["top"]["10"], found["place"], hollow=True)
                for k in ("1", "10"):
                    level(axes, found[series]["frequent"][k])
        axes.set_title(titles[series])
        axes.set_ylim(0, 1.03)
    panels[0][0].set_ylabel("share of words")
    _finish(figure, panels, models, {"top 1": {}, "top 10": _HOLLOW, "most frequent tokens": _LEVEL})
    return figure


def probes_figure(models: Models) -> Figure:
    """Accuracy of linear probes by layer."""
    kinds = [kind for kind in PROBES if any(kind in found for found in models.values())]
    figure, panels = _panels(1, len(kinds), 2.9)
    styles: dict[str, Any] = {"speech": {}, "text": {"hollow": True}, "transfer": {"faint": True}}
    drawn = set()
    for axes, kind in zip(panels[0], kinds, strict=True):
        for found in models.values():
            here = found.get(kind, {})
            for way in (way for way in styles if way in here):
                curve(axes, here[way], found["place"], **styles[way])
                drawn.add(way)
            if here:
                level(axes, here["chance"])
        counts = sorted({found[kind]["n"] for found in models.values() if kind in found})
        axes.set_title(f"{PROBES[kind]} (n = {', '.join(map(str, counts))})")
        axes.set_ylim(0, 1.03)
    panels[0][0].set_ylabel("accuracy, held out")
    ways = {"speech": ("speech", {}), "text": ("text", _HOLLOW), "transfer": ("from text to speech", _FAINT)}
    looks = dict(look for way, look in ways.items() if way in drawn)
    _finish(figure, panels, models, {**looks, "commonest class": _LEVEL})
    return figure


def retrieval_figure(models: Models) -> Figure:
    """Recall and median rank both ways, by layer."""
    figure, panels = _panels(2, 2, 4.6)
    n = next(iter(models.values()))["n"]
    for row, way in zip(panels, ("speech->text", "text->speech"), strict=True):
        for found in models.values():
            for states, style in {"centred": {}, "raw": {"hollow": True}}.items():
                curve(row[0], found[states][way]["recall"]["1"], found["place"], **style)
                curve(row[1], found[states][way]["median_rank"], found["place"], **style)
        level(row[0], found["chance"]["recall"]["1"])
        level(row[1], found["chance"]["median_rank"])
        title = way.replace("->", " → ")
        row[0].set_title(f"{title}: recall@1 of {n} sentences")
        row[0].set_ylim(0, 1.03)
        row[1].set_title(f"{title}: median rank")
        row[1].set_yscale("log")
        row[1].set_ylim(n, 0.8)
        row[1].yaxis.set_major_formatter("{x:g}")
    _finish(figure, panels, models, {"centred by modality": {}, "raw": _HOLLOW, "chance": _LEVEL})
    return figure


FIGURES: dict[str, Callable[[Models], Figure]] = {
    "alignment": alignment_figure,
    "geometry": geometry_figure,
    "lens": lens_figure,
    "probes": probes_figure,
    "retrieval": retrieval_figure,
    "selector": selector_figure,
    "boundaries": boundaries_figure,
}

_HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "linestyle": (0, (4, 1.5))}
_FAINT: dict[str, Any] = {"marker": "", "linestyle": (0, (1, 1))}
_LEVEL: dict[str, Any] = {"marker": "", "linestyle": (0, (2, 3)), "color": REAL["muted"], "linewidth": 0.9}


def curve(axes: Axes, values: Cells, place: int, *, hollow: bool = False, faint: bool = False) -> None:
    """A line over layers with its interval; the model's place decides colour and marker, what is shown how it looks."""
    name = STYLES[place]
    style: dict[str, Any] = {"color": REAL[name], "marker": MARKERS[name], "markersize": 4, "linewidth": 1.5}
    style |= _HOLLOW if hollow else _FAINT if faint else {"linestyle": "-"}
    layers = range(len(values))
    value, low, high = (np.array([cell[key] for cell in values], float) for key in ("value", "low", "high"))
    axes.plot(layers, value, **style)
    if not faint:
        axes.fill_between(layers, low, high, color=REAL[name], alpha=0.13, linewidth=0)


def level(axes: Axes, value: float) -> None:
    """What guessing gives."""
    axes.axhline(value, **{key: one for key, one in _LEVEL.items() if key != "marker"})


def _panels(rows: int, columns: int, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.04, hspace=0.04))
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True)


def _finish(figure: Figure, panels: Any, models: Models, ways: Mapping[str, Mapping[str, Any]]) -> None:
    """Axes of layers, and a legend above: models by colour, what is shown by the look of the line."""
    for axes in panels.flat:
        axes.grid(alpha=0.6)
        axes.set_axisbelow(True)
        last = round(axes.dataLim.x1)
        step = max(1, -(-last // 8))
        ticks = list(range(0, last + 1, step))
        axes.set_xticks(ticks, ["in", *map(str, ticks[1:])])
    for axes in panels[-1]:
        axes.set_xlabel("layer of the backbone")
    styles = {name: STYLES[found["place"]] for name, found in models.items()}
    handles = [
        Line2D([], [], color=REAL[style], marker=MARKERS[style], markersize=5, linewidth=2, label=name)
        for name, style in styles.items()
    ]
    base: dict[str, Any] = {"color": REAL["ink"], "marker": "o", "markersize": 4, "linewidth": 1.2}
    looks = [Line2D([], [], label=label, **(base | dict(style))) for label, style in ways.items()]
    together = sum(len(str(one.get_label())) + 7 for one in handles + looks) <= _LINE
    look: dict[str, Any] = {"frameon": False, "handlelength": 2.2, "columnspacing": 1.5}
    first = handles + looks if together else handles
    figure.legend(handles=first, loc="outside upper left", ncols=len(first), **look)
    if not together:
        figure.legend(handles=looks, loc="outside lower left", ncols=len(looks), **look)
