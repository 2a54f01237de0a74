"""How alike two sets of states of the same items are: linear CKA and mutual nearest neighbours.

Kornblith et al., "Similarity of neural network representations revisited", 2019; Song et al., "Feature selection via
dependence maximization", JMLR 2012, equation 5; Huh et al., "The Platonic representation hypothesis", 2024, whose
preparation (:func:`prepared`) both figures get here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smoltolk.analysis.resampling import Cell, cells, half_sample_intervals

NEIGHBOURS = 10
_QUANTILE = 0.95


def prepared(states: np.ndarray) -> np.ndarray:
    """States as published: outliers clamped at the 0.95 quantile of |x| over all layers, then length 1.

    Args:
        states: float [L, N, D].

    Returns:
        float64 [L, N, D].
    """
    bound = np.partition(np.abs(states), int(_QUANTILE * states.size), axis=None)[int(_QUANTILE * states.size)]
    clamped = np.clip(states, -bound, bound).astype(np.float64)
    return clamped / np.maximum(np.linalg.norm(clamped, axis=-1, keepdims=True), 1e-12)


def linear_cka(first: np.ndarray, second: np.ndarray, *, unbiased: bool = False) -> float:
    """Linear CKA of the same items: 1 for the same up to rotation and scale; unbiased, 0 on average for unrelated ones.

    Args:
        first, second: float [N, D] and [N, E], as they are.
        unbiased: with the estimator of HSIC by Song et al. (N > 3) instead of tr(KHLH), which is far above 0 for
            unrelated states where D is not far below N.
    """
    return _cka(first @ first.T, second @ second.T, unbiased)


def mutual_knn(first: np.ndarray, second: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Mean share of an item's k nearest neighbours, by inner product, that are the same ones in both.

    Args:
        first, second: float [N, D] and [N, E].
        k: below N.
    """
    return _shared(_neighbours(first @ first.T, k), _neighbours(second @ second.T, k))


def chance_knn(num_items: int, k: int = NEIGHBOURS) -> float:
    """What :func:`mutual_knn` is on average for unrelated states."""
    return k / (num_items - 1)


def alignment(
    speech: np.ndarray,
    text: np.ndarray,
    clusters: np.ndarray,
    *,
    seed: int,
    k: int = NEIGHBOURS,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """CKA and mutual nearest neighbours of speech and text, layer by layer and over all pairs of layers.

    Memory: 16 (L + 1) N^2 bytes for the pairs.

    Args:
        speech, text: float [L + 1, N, D], the same N items.
        clusters: int [N], for intervals.
        seed: of the intervals.
        k: neighbours.
        advance: called after each layer.

    Returns:
        ``cka``, ``cka_unbiased`` and ``knn``: a cell for each layer; ``best``: of each the pair of layers (speech,
        text) where it is largest, and its value, the published figure of ``knn``; ``chance``: of ``knn``; ``n``.
    """
    here, there = prepared(speech), prepared(text)
    layers: dict[str, list[Cell]] = {"cka": [], "cka_unbiased": [], "knn": []}
    for one, other in zip(here, there, strict=True):
        K, L = one @ one.T, other @ other.T

        def figures(items: np.ndarray, K: np.ndarray = K, L: np.ndarray = L) -> np.ndarray:
            few = np.ix_(items, items)
            # Of fewer items more than half would be neighbours: figures of all halves would be alike.
            pair, size = (K[few], L[few]), min(k, max(1, len(items) // 2))
            shared = _shared(_neighbours(pair[0], size), _neighbours(pair[1], size))
            return np.array([_cka(*pair, False), _cka(*pair, True), shared])

        whole = half_sample_intervals(figures, clusters, seed=seed)
        for name, cell in zip(layers, cells(*whole), strict=True):
            layers[name].append(cell)
        advance()
    best = {
        "cka": _best(_pairs_of_cka(here, there, unbiased=False)),
        "cka_unbiased": _best(_pairs_of_cka(here, there, unbiased=True)),
        "knn": _best(_pairs_of_knn(here, there, k)),
    }
    return {**layers, "best": best, "k": k, "chance": chance_knn(here.shape[1], k), "n": here.shape[1]}


def _centred(gram: np.ndarray, unbiased: bool) -> np.ndarray:
    """HKH; unbiased: its like without a diagonal, so that inner products of two are n (n - 3) times equation 5."""
    n = len(gram)
    if not unbiased:
        rows = gram.mean(0)
        return gram - rows[None] - rows[:, None] + rows.mean()
    bare = gram - np.diag(np.diag(gram))
    rows = bare.sum(0)
    centred = bare - rows[None] / (n - 2) - rows[:, None] / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0)
    return centred


def _cka(K: np.ndarray, L: np.ndarray, unbiased: bool) -> float:
    first, second = _centred(K, unbiased), _centred(L, unbiased)
    lengths = np.sqrt(max(float((first * first).sum() * (second * second).sum()), 0.0))
    return float((first * second).sum()) / lengths if lengths > 0 else 0.0


def _neighbours(gram: np.ndarray, k: int) -> np.ndarray:
    """int64 [N, k], self excluded."""
    others = gram.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argpartition(-others, k - 1, axis=1)[:, :k]


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    return float((first[:, :, None] == second[:, None, :]).sum() / first.size)


def _pairs_of_cka(first: np.ndarray, second: np.ndarray, *, unbiased: bool) -> np.ndarray:
    sides = []
    for states in (first, second):
        grams = np.stack([_centred(layer @ layer.T, unbiased).ravel() for layer in states])
        lengths = np.linalg.norm(grams, axis=1, keepdims=True)
        sides.append(np.divide(grams, lengths, out=np.zeros_like(grams), where=lengths > 0))
    return sides[0] @ sides[1].T


def _pairs_of_knn(first: np.ndarray, second: np.ndarray, k: int) -> np.ndarray:
    sides = [[_neighbours(layer @ layer.T, k) for layer in states] for states in (first, second)]
    return np.array([[_shared(one, other) for other in sides[1]] for one in sides[0]])


def _best(pairs: np.ndarray) -> dict[str, Any]:
    speech, text = np.unravel_index(int(pairs.argmax()), pairs.shape)
    return {"value": float(pairs[speech, text]), "speech_layer": int(speech), "text_layer": int(text)}
