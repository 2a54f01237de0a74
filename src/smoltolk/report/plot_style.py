"""How all figures look, and how they become SVG: for a page, whose colours they take, or for a file of their own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sized
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smoltolk.report.results import CHANCE

# matplotlib needs real colours: each stands for a CSS variable of the page and is exchanged after drawing.
COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "band": "#010206",
    "late": "#010207",
    "early": "#010208",
    "early_plus": "#010209",
    "early_long": "#01020a",
}
# What they are in a file of its own, on white: those of the page's light side.
REAL = {
    "ink": "#1d2128",
    "muted": "#5c6470",
    "line": "#d9d8d2",
    "band": "#eef3fb",
    "late": "#0b62c4",
    "early": "#b9610a",
    "early_plus": "#6d7480",
    "early_long": "#8e3b94",
}
MARKERS = {"late": "o", "early": "s", "early_plus": "D", "early_long": "^"}
LINES: dict[str, Any] = {
    "late": "-", "early": (0, (5, 1.5)), "early_plus": (0, (2, 1)), "early_long": (0, (6, 1.5, 1.5, 1.5)),
}  # fmt: skip
# Colour and line of each of many curves: those of the systems, and two more.
MANY_LINES = [
    *((COLOURS[name], LINES[name]) for name in LINES),
    (COLOURS["ink"], (0, (1, 1))),
    (COLOURS["muted"], (0, (8, 2))),
]
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched and takes the page's font
    "font.size": 11,
    "font.family": "sans-serif",
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["line"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["ink"],
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
}
_NARROW = 4.4  # inches: text keeps its size on a phone
_FONTS = "system-ui, -apple-system, Roboto, Helvetica, Arial, sans-serif"


def drawing() -> Any:
    """The context in which figures are made and drawn."""
    return matplotlib.rc_context(_STYLE)


def printing() -> Any:
    """The same in real colours, :data:`REAL`, and smaller letters: for figures that are saved as they are, on paper."""
    real = {COLOURS[name]: colour for name, colour in REAL.items()}
    style = {name: real.get(value, value) if isinstance(value, str) else value for name, value in _STYLE.items()}
    return matplotlib.rc_context(style | {"font.size": 9, "axes.titlesize": 9.5})


def mark_of_few(points: Sized) -> str | None:
    """The marker of a curve: a line through one point is not seen."""
    return "." if len(points) < 3 else None


def width(narrow: bool) -> float:
    """Inches of a figure across a page or a phone."""
    return _NARROW if narrow else 10


def percent_floor(accuracies: Iterable[float]) -> float:
    """Where an axis of percents begins: the ten below the least of them and below chance."""
    return 10 * (100 * min([CHANCE, *accuracies]) // 10)


def chance_line(axes: Axes, along: str = "x", span: tuple[float, float] | None = None) -> None:
    """A dashed line where guessing lies, on the axis that has percents; through all of the other axis or a span."""
    style: Any = {"color": COLOURS["muted"], "linewidth": 1, "linestyle": (0, (2, 2)), "zorder": 1}
    if span is not None:
        axes.plot([100 * CHANCE] * 2, span, **style)
    elif along == "x":
        axes.axvline(100 * CHANCE, **style)
    else:
        axes.axhline(100 * CHANCE, **style)


def rows_only(axes: Axes) -> None:
    """An axis of percents with named rows: a grid, no frame to the left."""
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.6)
    axes.set_axisbelow(True)


def page_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element: the page's colours and font, ids of its own, no date.

    Args:
        name: before all its ids; figures share a page.
        label: for those who do not see it.
    """
    text = with_ids_of_its_own(_drawn(figure, name, transparent=True), name)
    text = _exchanged(text, "var(--sans)", {variable: f"var(--{variable.replace('_', '-')})" for variable in COLOURS})
    return _headed(text, f'role="img" aria-label="{label}"')


def with_ids_of_its_own(svg: str, name: str) -> str:
    """An ``<svg>`` element whose ids, and whatever refers to them, begin with a name."""
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    return re.sub(r"url\(#", f"url(#{name}-", svg)


def on_paper(svg: str) -> str:
    """What :func:`page_svg` made, in real colours: a file of its own."""
    for variable, colour in REAL.items():
        svg = svg.replace(f"var(--{variable.replace('_', '-')})", colour)
    return svg.replace("var(--sans)", _FONTS)


def file_svg(figure: Figure, label: str) -> str:
    """The figure as a file of its own, in real colours on white."""
    text = _exchanged(_drawn(figure, "figure", transparent=False), _FONTS, REAL)
    size = 'width="{:g}" height="{:g}"'.format(*(72 * figure.get_size_inches()))
    return _headed(text, f'role="img" aria-label="{label}" {size}')


def _drawn(figure: Figure, salt: str, transparent: bool) -> str:
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)


def _exchanged(text: str, fonts: str, colours: dict[str, str]) -> str:
    # Older versions of matplotlib write a font as one property, newer ones as several.
    text = re.sub(r"(font: [^;'\"]*?px) [^;\"]*", rf"\1 {fonts}", text)
    text = re.sub(r"font-family: [^;\"]*", f"font-family: {fonts}", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, colours[variable])
    return text


def _headed(text: str, attributes: str) -> str:
    view_box = re.search(r'viewBox="([^"]*)"', text)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    start = f'<svg {attributes} viewBox="{view_box[1] if view_box else ""}" {spaces}>'
    return re.sub(r"<svg [^>]*>", start, text, count=1)
