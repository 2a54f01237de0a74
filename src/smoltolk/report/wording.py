"""Numbers and lists as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def percent(fraction: float, digits: int = 1) -> str:
    """``0.8125`` -> ``81.2``; without the sign, which stands in the column's head."""
    return f"{100 * fraction:.{digits}f}"


def points(fraction: float, digits: int = 1) -> str:
    """A signed number of percentage points, with a real minus sign: ``+3.1``, ``−0.4``, ``0.0``."""
    rounded = round(100 * fraction, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def arrow(direction: str) -> str:
    """``S->T`` -> ``S → T``."""
    return direction.replace("->", " → ")


def number(value: float) -> str:
    """A count with thin spaces between thousands; other numbers with four digits that matter."""
    if float(value).is_integer() or abs(value) >= 10_000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.4g}"


def measure(value: float, kind: str) -> str:
    """A measure of a model: ``count``, ``nats``, ``percent`` or ``seconds``."""
    formats = {
        "count": lambda: number(round(value)),
        "nats": lambda: f"{value:.3f}",
        "percent": lambda: f"{percent(value)}%",
        "seconds": lambda: f"{value:.3f} s",
    }
    return formats[kind]()


def listed(parts: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f" {last} " + parts[-1]


def world_words(world: Mapping[str, Any]) -> str:
    """How large a world is and how often it is heard, from ``results["world"]``; what is not there is left out."""
    known = {key: number(world[key]) for key in ("people", "facts", "heard", "words") if key in world}
    parts = [f"{known[key]} {key}" for key in ("people", "facts") if key in known]
    if {"facts", "heard"} <= known.keys():
        parts[-1] += f" ({known['heard']} heard, {number(world['facts'] - world['heard'])} only read)"
    if "words" in known:
        parts.append(f"a vocabulary of {known['words']} words")
    sentences = [f"The world: {listed(parts)}."] if parts else []
    if "times_heard" in world:
        times = world["times_heard"]
        sentences.append(f"Each heard fact is said in some {times:.{0 if times >= 3 else 1}f} recordings.")
    return " ".join(sentences)
