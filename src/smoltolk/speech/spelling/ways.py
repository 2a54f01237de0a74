"""Ways of saying something, likeliest first, and how those of its parts are put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Words with single spaces; likeliest first.
Ways = tuple[str, ...]
MOST_WAYS = 24  # of one token: beyond it parts keep their likelier ways only


def unique(ways: Iterable[str]) -> Ways:
    """Each way once, in order."""
    return tuple(dict.fromkeys(" ".join(way.split()) for way in ways))


def joined(parts: Sequence[Ways], most: int = MOST_WAYS) -> Ways:
    """Ways of a whole by the ways of its parts: those first whose parts are likely, ``most`` of them."""
    best: list[tuple[int, str]] = [(0, "")]
    for ways in parts:
        longer = [(rank + place, f"{said} {way}") for rank, said in best for place, way in enumerate(ways)]
        best = sorted(longer, key=lambda one: one[0])[:most]
    return unique(said for _, said in best)
