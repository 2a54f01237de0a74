"""Finding a sentence's text by its sound, and its sound by its text: cosine of mean states, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from smoltolk.analysis.resampling import LEVEL, Cell, cells, draws
from smoltolk.evaluation.intervals import expanded_tail

TOP = (1, 5, 10)
WAYS = ("speech->text", "text->speech")
STATES = ("raw", "centred")


def ranks_of(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The rank of each query's own key among all keys by cosine, from 1; of equal ones the own comes last.

    Args:
        queries, keys: float [N, D], query i and key i of the same item.

    Returns:
        int64 [N].
    """
    scores = _unit_length(queries) @ _unit_length(keys).T
    # Rounding must not tell equal keys apart.
    own = np.diag(scores)[:, None] - 1e-12
    return (scores >= own).sum(1)


def retrieval(speech: np.ndarray, text: np.ndarray, *, seed: int) -> dict[str, Any]:
    """Recall and median rank both ways, by layer, of states as they are and with each modality's mean taken away.

    Args:
        speech, text: float [L + 1, N, D], mean states of the same N sentences, no two of which are the same.
        seed: of the bootstrap over pairs.

    Returns:
        ``{states: {way: {"recall": {k: [cell]}, "median_rank": [cell]}}}`` with a cell for each layer, for ``raw`` and
        ``centred``; ``chance``: recall by k and the median rank of guessing; ``n``.
    """
    n = speech.shape[1]
    drawn = draws(n, seed)
    sides = {"raw": (speech, text), "centred": (_centred(speech), _centred(text))}
    found: dict[str, Any] = {}
    for name, (heard, read) in sides.items():
        found[name] = {}
        for way, (queries, keys) in zip(WAYS, ((heard, read), (read, heard)), strict=True):
            ranks = np.stack([ranks_of(*layer) for layer in zip(queries, keys, strict=True)], axis=1)
            found[name][way] = {
                "recall": {str(k): _interval((ranks <= k).astype(float), drawn) for k in TOP},
                "median_rank": _median_interval(ranks, drawn),
            }
    chance = {"recall": {str(k): min(1.0, k / n) for k in TOP}, "median_rank": (n + 1) / 2}
    return {**found, "chance": chance, "n": n}


def _unit_length(states: np.ndarray) -> np.ndarray:
    states = np.asarray(states, np.float64)
    return states / np.maximum(np.linalg.norm(states, axis=-1, keepdims=True), 1e-12)


def _centred(states: np.ndarray) -> np.ndarray:
    return states - states.mean(1, keepdims=True, dtype=np.float64)


def _interval(values: np.ndarray, drawn: np.ndarray) -> list[Cell]:
    """Cells of the mean of each column, [N, C] resampled as ``drawn`` says, [resamples, N]."""
    n = len(values)
    tail = expanded_tail(LEVEL, n)
    low, high = np.quantile(drawn @ values / n, [tail, 1 - tail], axis=0)
    return cells(values.mean(0), np.minimum(low, values.mean(0)), np.maximum(high, values.mean(0)))


def _median_interval(ranks: np.ndarray, drawn: np.ndarray) -> list[Cell]:
    """Cells of the median of each column."""
    found: list[Cell] = []
    for column in ranks.T:
        order = np.argsort(column, kind="stable")
        # The median of a resample of n: the mean of the two in the middle once ranks are counted in order.
        counts = np.cumsum(drawn[:, order], axis=1)
        n = counts[0, -1]
        middle = [column[order[(counts >= place).argmax(1)]] for place in ((n + 1) // 2, n // 2 + 1)]
        low, high = np.quantile(np.mean(middle, axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        found.append({"value": float(np.median(column)), "low": float(low), "high": float(high)})
    return found
