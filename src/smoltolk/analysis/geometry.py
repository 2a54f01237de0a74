"""What space states fill: how many dimensions, and how much of it speech and text share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from smoltolk.analysis.resampling import cells, half_sample_intervals

DIRECTIONS = 20  # of each modality, those of most variance
_KEPT = 0.9  # of the ratios: the largest are no part of the fit (Facco et al.)


def two_nn(states: np.ndarray) -> float:
    """Intrinsic dimension by the ratio of the distances to the two nearest neighbours.

    Facco et al., "Estimating the intrinsic dimension of datasets by a minimal neighborhood information", 2017, with the
    linear fit of their text, as ``skdim.id.TwoNN`` of scikit-dimension has it (its figures are in the tests); that
    library would bring numba and LLVM, 200 MB, for these lines.

    Args:
        states: float [N, D]. Of equal ones one is taken.

    Returns:
        The dimension; NaN if fewer than 10 states differ.
    """
    distinct = np.unique(np.asarray(states, np.float64), axis=0)
    return _two_nn(cdist(distinct, distinct)) if len(distinct) >= _FEWEST else float("nan")


def subspace_overlap(first: np.ndarray, second: np.ndarray, directions: int = DIRECTIONS) -> float:
    """Mean squared cosine of the principal angles between the directions of most variance of two sets of states.

    Args:
        first, second: float [N, D] and [M, D]; each is centred by itself.
        directions: r, below N, M and D.

    Returns:
        1 for the same subspace, r / D on average for two random ones.
    """
    one, other = _directions(first, directions), _directions(second, directions)
    return float(((one.T @ other) ** 2).sum() / directions)


def geometry(
    speech: np.ndarray,
    text: np.ndarray,
    clusters: np.ndarray,
    *,
    seed: int,
    directions: int = DIRECTIONS,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Intrinsic dimension of speech and of text, and the overlap of their subspaces, layer by layer.

    Args:
        speech, text: float [L + 1, N, D].
        clusters: int [N], for intervals.
        seed: of the intervals.
        directions: of each subspace; fewer where states have fewer.
        advance: called after each layer.

    Returns:
        ``dimension_speech``, ``dimension_text`` and ``overlap``: a cell for each layer; ``distinct_speech`` and
        ``distinct_text``: states that differ, by layer; ``directions`` and ``chance`` of the overlap; ``n``.
    """
    _, n, width = speech.shape
    size = max(1, min(directions, width // 2, n // 4))
    layers: dict[str, list[Any]] = {"dimension_speech": [], "dimension_text": [], "overlap": []}
    counts: dict[str, list[int]] = {"distinct_speech": [], "distinct_text": []}
    for heard, read in zip(speech, text, strict=True):
        for name, side in (("speech", heard), ("text", read)):
            distinct, whose = np.unique(np.asarray(side, np.float64), axis=0, return_index=True)
            counts[f"distinct_{name}"].append(len(distinct))
            distances, groups = cdist(distinct, distinct), clusters[whose]

            def dimension(items: np.ndarray, distances: np.ndarray = distances) -> np.ndarray:
                return np.array([_two_nn(distances[np.ix_(items, items)])])

            layers[f"dimension_{name}"] += cells(*half_sample_intervals(dimension, groups, seed=seed))

        def overlap(items: np.ndarray, heard: np.ndarray = heard, read: np.ndarray = read) -> np.ndarray:
            return np.array([subspace_overlap(heard[items], read[items], min(size, len(items) - 1))])

        layers["overlap"] += cells(*half_sample_intervals(overlap, clusters, seed=seed))
        advance()
    return {**layers, **counts, "directions": size, "chance": size / width, "n": n}


_FEWEST = 10


def _two_nn(distances: np.ndarray) -> float:
    if len(distances) < _FEWEST:
        return float("nan")
    nearest = np.partition(distances + np.diag(np.full(len(distances), np.inf)), 1, axis=1)[:, :2]
    apart = nearest[:, 0] > 0
    ratios = np.sort(nearest[apart, 1] / nearest[apart, 0])
    n, kept = len(ratios), int(len(ratios) * _KEPT)
    x, y = np.log(ratios[:kept]), -np.log(1 - np.arange(1, kept + 1) / n)
    squares = float(x @ x)
    return float(x @ y) / squares if squares > 0 else float("nan")


def _directions(states: np.ndarray, count: int) -> np.ndarray:
    """Orthonormal columns [D, count]."""
    centred = np.asarray(states, np.float64)
    centred = centred - centred.mean(0)
    n, width = centred.shape
    if width <= n:
        return eigh(centred.T @ centred, subset_by_index=(width - count, width - 1))[1]
    vectors = eigh(centred @ centred.T, subset_by_index=(n - count, n - 1))[1]
    return np.linalg.qr(centred.T @ vectors)[0]
