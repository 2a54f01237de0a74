"""Intervals for scores whose items come in clusters.

Items about one fact are not independent: a model that knows the fact tends to get all of them right. So whole
facts are drawn again, not items. Two-way questions oppose two facts, and each question has a mirror image in
which the other's option is right; a liking for an option makes one of the two right and the other wrong. So a
question counts in a resample as often as *both* of its facts are drawn, its mirror image alike, and likings
cancel there as they do in the mean (the pigeonhole bootstrap: Owen, "The pigeonhole bootstrap", Annals of
Applied Statistics, 2007; it errs on the wide side).

Percentiles are widened for few clusters (Hesterberg, "What teachers should know about the bootstrap", 2015,
the expanded percentile interval): those of 20 clusters are otherwise some 10% too short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator

RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval.

    Attributes:
        value: mean over the items.
        low, high: bounds of the interval.
        n: items.
        clusters: independent groups among them.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int

    def as_dict(self, name: str = "value") -> dict[str, float]:
        """``{name, low, high, n}`` for results files."""
        return {name: self.value, "low": self.low, "high": self.high, "n": self.n}


def choice_outcomes(right: np.ndarray, wrong: np.ndarray, ties: str = "0.5") -> np.ndarray:
    """Points of two-way choices by NLL.

    Args:
        right, wrong: float [N], NLL of the right and of the wrong option. Equal to twelve digits is a tie:
            means over different numbers of ids are rounded differently.
        ties: ``0.5`` or ``wrong``.

    Returns:
        float64 [N] of 0, 0.5 and 1.
    """
    right, wrong = np.asarray(right), np.asarray(wrong)
    tied = np.isclose(right, wrong, rtol=1e-12, atol=0)
    return np.where(tied, 0.5 if ties == "0.5" else 0.0, (right < wrong).astype(np.float64))


def cluster_bootstrap(
    values: np.ndarray,
    clusters: Sequence[str] | np.ndarray,
    *,
    seed: int,
    rivals: Sequence[str] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Mean of ``values`` and its interval when whole clusters are resampled.

    The resamples depend on the seed, the cluster names and the items in each, and on nothing else: two
    systems scored on the same items get the same ones.

    Args:
        values: float [N].
        clusters: the cluster of each item [N].
        seed: of the resamples.
        rivals: a second cluster of each item [N], the same as the first where there is none; None: none has.
        resamples: how many.
        level: of confidence.

    Raises:
        InputError: fewer than two clusters, or lengths that differ.
    """
    values, clusters = np.asarray(values, np.float64), np.asarray(clusters)
    rivals = clusters if rivals is None else np.asarray(rivals)
    if not len(values) == len(clusters) == len(rivals) or len(np.unique(clusters)) < 2:
        num_distinct = len(np.unique(clusters))
        raise InputError(
            "a bootstrap over clusters needs one cluster (and rival) for each item and two clusters at least",
            f"{len(values)} items, {len(clusters)} and {len(rivals)} names, {num_distinct} clusters",
            "evaluate items of more facts",
        )
    names, members = np.unique(np.concatenate([clusters, rivals]), return_inverse=True)
    # Items of the same two clusters always count alike: sums over such groups are enough.
    pairs, groups = np.unique(members.reshape(2, -1), axis=1, return_inverse=True)
    sums, counts = np.bincount(groups.ravel(), values), np.bincount(groups.ravel())
    rng = generator(seed, "cluster bootstrap", len(names))
    # How often each cluster is drawn, [resamples, clusters].
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples).astype(np.float64)
    first, second = drawn[:, pairs[0]], drawn[:, pairs[1]]
    weights = np.where(pairs[0] == pairs[1], first, first * second)
    totals = weights @ counts
    # With very few clusters a resample may hold no item at all; it says nothing.
    means = (weights @ sums)[totals > 0] / totals[totals > 0]
    tail = expanded_tail(level, len(names))
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = float(values.mean())
    # Rounding of the matrix product must not push a bound past the mean (all values equal).
    return Interval(mean, min(float(low), mean), max(float(high), mean), len(values), len(names))


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    clusters: Sequence[str] | np.ndarray,
    *,
    seed: int,
    rivals: Sequence[str] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Interval of ``mean(first - second)`` over the same items, resampled together.

    Args:
        first, second: float [N], scores of two systems on the same items in the same order.
        clusters, seed, rivals, resamples, level: as for :func:`cluster_bootstrap`.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape:
        raise InputError(
            "a paired difference needs the same items from both systems",
            f"{len(first)} and {len(second)} items",
            "evaluate both systems on the same list",
        )
    return cluster_bootstrap(first - second, clusters, seed=seed, rivals=rivals, resamples=resamples, level=level)


def strata_bootstrap(
    values: np.ndarray,
    strata: Sequence[str] | np.ndarray,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Mean over strata of the mean in each (macro), and its interval when items are resampled inside their stratum.

    Args:
        values: float [N], independent items.
        strata: the stratum of each [N].
        seed, resamples, level: as for :func:`cluster_bootstrap`.
    """
    values, strata = np.asarray(values, np.float64), np.asarray(strata)
    names = np.unique(strata)
    means, centres = np.zeros(resamples), []
    for name in names:
        inside = values[strata == name]
        rng = generator(seed, "strata bootstrap", str(name), len(inside))
        drawn = rng.multinomial(len(inside), np.full(len(inside), 1 / len(inside)), size=resamples)
        # Resamples of n spread by (n - 1) / n too little: of the few items of a stratum that is a lot.
        spread = np.sqrt(len(inside) / max(len(inside) - 1, 1))
        centre = inside.mean()
        means += (centre + spread * (drawn @ inside / len(inside) - centre)) / len(names)
        centres.append(centre)
    mean = float(np.mean(centres))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, min(max(float(low), 0.0), mean), max(min(float(high), 1.0), mean), len(values), len(values))


def expanded_tail(level: float, clusters: int) -> float:
    """Share to cut at each end so that the interval of a mean is as long as Student's t."""
    quantile = stats.t.ppf((1 - level) / 2, clusters - 1)
    return float(stats.norm.cdf(quantile * np.sqrt(clusters / (clusters - 1))))
