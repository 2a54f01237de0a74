"""The time line as a drawing: words, waveform, units, selector and lens below each other, in the page's own colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from smoltolk.demo.inside import Guess, Place, Selector
from smoltolk.demo.segments import Column, Said, Segment
from smoltolk.demo.words import UNSURE, Word

_SCALE = 110  # pixels a second
_GUTTER = 92
_WORDS, _WAVE, _UNITS, _LAYER, _GAP = 18, 46, 18, 16, 8
_PER_SECOND = 60  # columns of a waveform
_MOST_CELLS = 6000  # of a heat map; beyond it neighbours share one
_LETTER = 6.8  # pixels, of most letters


@dataclass(frozen=True, slots=True)
class Drawn:
    """All that one drawing shows.

    Attributes:
        segments, starts: prompt and answer, and the second at which each begins.
        columns: every token and unit.
        words: on the time line.
        selector: None: the model has none.
        places, guesses: of the lens, ``guesses[layer][place]``.
    """

    segments: Sequence[Segment]
    starts: Sequence[float]
    columns: Sequence[Column]
    words: Sequence[Word]
    selector: Selector | None
    places: Sequence[Place]
    guesses: Sequence[Sequence[Guess]]


def draw(drawn: Drawn, note: str) -> str:
    """HTML that needs nothing else.

    Args:
        drawn: what is shown.
        note: a line below it.
    """
    end = drawn.columns[-1].stop if drawn.columns else 0.0
    rows = list(_rows(drawn))
    height = sum(size + _GAP for _, size, _ in rows)
    gutter, body, y = [], [], 0.0
    for names, size, content in rows:
        step = size / max(1, len(names))
        for number, name in enumerate(names):
            gutter.append(
                f'<text x="{_GUTTER - 8}" y="{y + step * (number + 0.5):.1f}" text-anchor="end">{escape(name)}</text>'
            )
        body.append(f'<g transform="translate(0 {y:.1f})">{content}</g>')
        y += size + _GAP
    answers = [start for one, start in zip(drawn.segments, drawn.starts, strict=True) if _is_answer(one)]
    line = "".join(f'<line class="begin" x1="{_x(at)}" x2="{_x(at)}" y1="0" y2="{height}"/>' for at in answers)
    width = max(_x(end), 60)
    return (
        f'<div class="line"><svg class="names" width="{_GUTTER}" height="{height}">{"".join(gutter)}</svg>'
        f'<div class="scroll"><svg width="{width:.0f}" height="{height}">{"".join(body)}{line}</svg></div></div>'
        f'<div class="note">{escape(note)}</div>'
    )


def _rows(drawn: Drawn) -> Iterator[tuple[list[str], float, str]]:
    """Names at the left, height and content of each row."""
    yield ["words"], _WORDS, "".join(map(_word, drawn.words))
    waves = [
        _wave(one, start) for one, start in zip(drawn.segments, drawn.starts, strict=True) if isinstance(one, Said)
    ]
    yield ["sound"], _WAVE, "".join(waves)
    yield ["text, units"], _UNITS, "".join(map(_column, drawn.columns))
    if drawn.selector is not None:
        names = [f"layer {name}" for name in reversed(drawn.selector.layers)]
        yield [f"selector {names[0]}", *names[1:]], _LAYER * len(names), _heat(drawn.selector, drawn.columns)
    if drawn.guesses:
        names = ["in", *(str(layer) for layer in range(1, len(drawn.guesses)))]
        shown = [f"head on {names[-1]}", *reversed(names[:-1])]
        yield shown, (_LAYER + 2) * len(names), _lens(drawn.places, drawn.guesses)


def _word(word: Word) -> str:
    opacity = 1.0 if word.confidence >= UNSURE else 0.45
    title = f"{word.text}: {word.start:.2f} to {word.stop:.2f} s, confidence {word.confidence:.2f}"
    return _box(word.start, word.stop, 0, _WORDS, word.text, title, "word", f"opacity:{opacity}")


def _column(column: Column) -> str:
    if not column.speech:
        return _box(column.start, column.stop, 0, _UNITS, column.label, f"token {column.label!r}", "token", "")
    hue = int(column.label) * 137.508 % 360  # neighbours in number are far apart in colour
    title = f"unit {column.label}: {1000 * (column.stop - column.start):.0f} ms"
    return _box(column.start, column.stop, 0, _UNITS, "", title, "unit", f"fill:hsl({hue:.0f} 55% 62%)")


def _wave(said: Said, start: float) -> str:
    count = max(1, round(len(said.waveform) / said.rate * _PER_SECOND))
    edges = np.linspace(0, len(said.waveform), count + 1).astype(int)
    peaks = [np.abs(said.waveform[a:b]).max() if b > a else 0.0 for a, b in itertools.pairwise(edges)]
    loud = np.array(peaks) / max(1e-4, max(peaks)) * (_WAVE / 2 - 1)
    # Units tile the sound: it is as long as they are, to a frame.
    xs = _x(start) + np.linspace(0, _x(float(said.seconds.sum())), count)
    upper = [f"{x:.1f},{_WAVE / 2 - y:.1f}" for x, y in zip(xs, loud, strict=True)]
    lower = [f"{x:.1f},{_WAVE / 2 + y:.1f}" for x, y in zip(xs[::-1], loud[::-1], strict=True)]
    kind = "answer" if said.is_answer else "heard"
    return f'<polygon class="wave {kind}" points="{" ".join(upper + lower)}"/>'


def _heat(selector: Selector, columns: Sequence[Column]) -> str:
    count = len(selector.layers)
    share = max(1, -(-len(columns) * count // _MOST_CELLS))  # columns of a cell
    cells = []
    for first in range(0, len(columns), share):
        group = columns[first : first + share]
        weights = selector.weights[first : first + share].mean(0)
        start, stop = group[0].start, group[-1].stop
        told = ", ".join(f"{name}: {weight:.2f}" for name, weight in zip(selector.layers, weights, strict=True))
        label = group[0].label if len(group) == 1 else f"{group[0].label} to {group[-1].label}"
        boxes = [
            f'<rect class="heat" x="{_x(start):.1f}" y="{_LAYER * (count - 1 - layer)}" '
            f'width="{_x(stop - start):.1f}" height="{_LAYER}" style="fill-opacity:{weight:.2f}"/>'
            for layer, weight in enumerate(weights)
        ]
        cells.append(f"<g><title>{escape(f'{label}: layer {told}')}</title>{''.join(boxes)}</g>")
    return "".join(cells)


def _lens(places: Sequence[Place], guesses: Sequence[Sequence[Guess]]) -> str:
    height = _LAYER + 2
    boxes = []
    for layer, row in enumerate(guesses):
        for place, guess in zip(places, row, strict=True):
            told = ", ".join(f"{token!r} {share:.2f}" for token, share in zip(guess.tokens, guess.shares, strict=True))
            y, style = height * (len(guesses) - 1 - layer), f"--share:{min(1.0, 0.08 + guess.shares[0]):.2f}"
            boxes.append(_box(place.start, place.stop, y, height, guess.tokens[0].strip(), told, "guess", style))
    return "".join(boxes)


def _box(start: float, stop: float, y: float, height: float, label: str, title: str, kind: str, style: str) -> str:
    width = max(_x(stop - start) - 1, 1)
    fitting = int((width - 2) / _LETTER)
    shown = label if len(label) <= fitting else label[: fitting - 1] + "…" if fitting > 1 else ""
    written = f'<text x="{_x(start) + width / 2:.1f}" y="{y + height / 2:.1f}">{escape(shown)}</text>' if shown else ""
    return (
        f'<g class="{kind}" style="{style}"><title>{escape(title)}</title><rect x="{_x(start):.1f}" y="{y:.1f}" '
        f'width="{width:.1f}" height="{height - 1:.1f}"/>{written}</g>'
    )


def _x(seconds: float) -> float:
    return round(seconds * _SCALE, 1)


def _is_answer(segment: Segment) -> bool:
    return isinstance(segment, Said) and segment.is_answer
