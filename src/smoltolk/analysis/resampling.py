"""Intervals of figures by layer: many columns resampled at once.

What is a mean of items is resampled by clusters, as in :mod:`smoltolk.evaluation.intervals`. What is made of all items
together, CKA or nearest neighbours, cannot be: an item that is drawn twice is its own neighbour. For these the figure
is made again of random halves of the clusters; the spread of a figure over halves is that of the whole over samples
(the delete-d jackknife with d = n / 2: Shao and Wu, Annals of Statistics, 1989).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.evaluation.intervals import expanded_tail

RESAMPLES = 2000
HALVES = 30
LEVEL = 0.95
Cell = dict[str, float | None]


def draws(num_clusters: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each cluster is drawn, float64 [resamples, clusters].

    Raises:
        InputError: fewer than two clusters.
    """
    check_clusters(num_clusters)
    rng = generator(seed, "resamples", num_clusters)
    return rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=resamples).astype(np.float64)


def check_clusters(count: int) -> None:
    """Raise InputError unless there are two."""
    if count < 2:
        fix = "give shards of more utterances"
        raise InputError("an interval needs items of two utterances at least", f"{count}", fix)


def mean_intervals(values: np.ndarray, clusters: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of columns and their 95% intervals.

    Args:
        values: float [N, C].
        clusters: int [N].
        seed: of the resamples.

    Returns:
        Means, lower and upper bounds, float64 [C] each.
    """
    return ratio_intervals(values, np.ones_like(values, np.float64), clusters, seed=seed)


def ratio_intervals(
    above: np.ndarray, below: np.ndarray, clusters: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``sum(above) / sum(below)`` of columns and their 95% intervals; 0 where nothing is below.

    Args:
        above, below: float [N, C].
        clusters: int [N].
        seed: of the resamples.
    """
    names, members = np.unique(clusters, return_inverse=True)
    sums = [_sums(values, members, len(names)) for values in (above, below)]
    drawn = draws(len(names), seed)
    upper, lower = drawn @ sums[0], drawn @ sums[1]
    ratios = np.divide(upper, lower, out=np.zeros_like(upper), where=lower > 0)
    totals = [each.sum(0) for each in sums]
    whole = np.divide(totals[0], totals[1], out=np.zeros_like(totals[0]), where=totals[1] > 0)
    tail = expanded_tail(LEVEL, len(names))
    low, high = np.quantile(ratios, [tail, 1 - tail], axis=0)
    return whole, np.minimum(low, whole), np.maximum(high, whole)


def half_sample_intervals(
    figure: Callable[[np.ndarray], np.ndarray], clusters: np.ndarray, *, seed: int, halves: int = HALVES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Figures of all items and their 95% intervals, from figures of random halves of the clusters.

    Args:
        figure: figures [C] of some items, given by their numbers (sorted).
        clusters: int [N].
        seed: of the halves.
        halves: how many.

    Returns:
        Figures, lower and upper bounds, float64 [C] each. A figure's own change with the number of items is in none of
        them.
    """
    names = np.unique(clusters)
    check_clusters(len(names))
    rng = generator(seed, "halves", len(names))
    whole = np.asarray(figure(np.arange(len(clusters))), np.float64)
    found = []
    for _ in range(halves):
        chosen = rng.permutation(names)[: max(1, len(names) // 2)]
        found.append(figure(np.flatnonzero(np.isin(clusters, chosen))))
    spread = np.std(np.asarray(found, np.float64), axis=0, ddof=1)  # NaN where a half is too small for a figure
    reach = float(stdtrit(min(halves, len(names)) - 1, (1 + LEVEL) / 2)) * spread
    return whole, whole - reach, whole + reach


def cells(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[Cell]:
    """``{"value", "low", "high"}`` of each column; None where there is no such figure."""
    rows = np.stack([value, low, high], axis=1).tolist()
    return [
        {name: one if np.isfinite(one) else None for name, one in zip(("value", "low", "high"), row, strict=True)}
        for row in rows
    ]


def _sums(values: np.ndarray, members: np.ndarray, num_clusters: int) -> np.ndarray:
    sums = np.zeros((num_clusters, values.shape[1]))
    np.add.at(sums, members, values)
    return sums
