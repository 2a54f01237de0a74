"""Word boundaries from the selector's weight on the last layer (arXiv 2503.06211, table 3: on TIMIT, F1 48 at 150M).

A unit at which the weight has a peak above a threshold marks a boundary at one of its two edges. What is not said in
the paper, threshold, edge and whether peaks or dips mark, is chosen on a third of the utterances and scored on the
others. Beside it stand as many boundaries at equal distances, boundaries at the equal distance of the best F1, chosen
alike, and every edge of a unit: where units are phones, some edges are right whoever picks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from smoltolk.analysis.material import Material
from smoltolk.analysis.resampling import cells, ratio_intervals
from smoltolk.common.seeds import generator

TOLERANCES = (0.02, 0.05)  # seconds
METHODS = ("selector", "as many, evenly")  # of each model
BASELINES = ("evenly, best F1", "every unit")
_CHOICE_SHARE = 1 / 3
_FEWEST = 3  # utterances of two words: one to choose on, two for an interval
_THRESHOLDS = 25
_SPACINGS = np.arange(0.1, 1.01, 0.02)  # seconds


class Spoken(NamedTuple):
    """What boundaries are found in: an utterance's units with their weights, and where its words begin."""

    weights: np.ndarray  # [n], on the last layer
    starts: np.ndarray  # [n], seconds
    ends: np.ndarray
    words: np.ndarray  # [w - 1], where words but the first begin


class Detector(NamedTuple):
    """Which units mark a boundary, and where."""

    threshold: float
    edge: str  # "start" or "end"
    sign: int  # 1: peaks, -1: dips

    def __call__(self, spoken: Spoken) -> np.ndarray:
        """Times of boundaries, seconds, in order; not at the ends of the utterance."""
        signal = self.sign * spoken.weights
        padded = np.concatenate([[-np.inf], signal, [-np.inf]])
        peaks = (signal >= padded[:-2]) & (signal > padded[2:]) & (signal >= self.threshold)
        times = (spoken.starts if self.edge == "start" else spoken.ends)[peaks]
        return _inside(times, spoken)


def matched(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> int:
    """How many boundaries can be paired with one that is wanted, each once, no further apart than the tolerance.

    Args:
        found, wanted: seconds, in order.
        tolerance: seconds.
    """
    count = one = other = 0
    while one < len(found) and other < len(wanted):
        if abs(found[one] - wanted[other]) <= tolerance + 1e-6:  # times of frames are rounded
            count, one, other = count + 1, one + 1, other + 1
        elif found[one] < wanted[other]:
            one += 1
        else:
            other += 1
    return count


def has_boundaries(material: Material) -> bool:
    """Whether three of the utterances have two words: where each is one word, there is nothing to find."""
    return sum(len(material.units.words(utterance)[0]) > 1 for utterance in material.utterances) >= _FEWEST


def word_boundaries(weights: Sequence[np.ndarray], material: Material, *, seed: int) -> dict[str, Any]:
    """Precision, recall and F1 of word boundaries at 20 and 50 ms.

    A boundary is where a word begins, but for the first of an utterance.

    Args:
        weights: of :func:`~smoltolk.analysis.selector.unit_weights`, of the material's spoken documents.
        material: whose words have times, and which :func:`has_boundaries`.
        seed: of the choice of utterances and of the bootstrap over them.

    Returns:
        ``{tolerance in ms: {method: {"precision", "recall", "f1": cell, "r_value": float, "found": int}}}``, beside
        them what was ``chosen``; ``boundaries`` and ``n``, utterances scored; ``chosen_on``, those of the choice.
    """
    utterances = [_spoken(each, material, k) for k, each in enumerate(weights)]
    order = generator(seed, "boundaries", len(utterances)).permutation(len(utterances))
    # Utterances without a boundary are shared out by themselves, so that there are boundaries on both sides.
    has_some = np.array([len(utterances[k].words) > 0 for k in order])
    some, none = order[has_some], order[~has_some]
    first, second = max(1, round(_CHOICE_SHARE * len(some))), round(_CHOICE_SHARE * len(none))
    parts = np.concatenate([some[:first], none[:second]]), np.concatenate([some[first:], none[second:]])
    choice, rest = ([utterances[k] for k in np.sort(part)] for part in parts)
    result: dict[str, Any] = {}
    for tolerance in TOLERANCES:
        detector, spacing = _best_detector(choice, tolerance), _best_spacing(choice, tolerance)
        found = [detector(one) for one in rest]
        evenly = [_uniform(one, one.ends[-1] / (len(times) + 1)) for times, one in zip(found, rest, strict=True)]
        result[f"{1000 * tolerance:.0f}"] = {
            "selector": _scores(found, rest, tolerance, seed) | {"chosen": detector._asdict()},
            "as many, evenly": _scores(evenly, rest, tolerance, seed),
            "evenly, best F1": _scores([_uniform(one, spacing) for one in rest], rest, tolerance, seed)
            | {"chosen": {"seconds": spacing}},
            "every unit": _scores([_inside(one.ends, one) for one in rest], rest, tolerance, seed),
        }
    return {
        **result,
        "boundaries": sum(len(one.words) for one in rest),
        "n": len(rest),
        "chosen_on": len(choice),
    }


def _spoken(weights: np.ndarray, material: Material, document: int) -> Spoken:
    utterance = material.utterances[document]
    return Spoken(
        weights[:, -1], *material.unit_times(utterance), material.units.words(utterance)[1][1:].astype(np.float64)
    )


def _inside(times: np.ndarray, spoken: Spoken) -> np.ndarray:
    return times[(times > 0) & (times < spoken.ends[-1] - 1e-9)]


def _uniform(spoken: Spoken, seconds: float) -> np.ndarray:
    return _inside(np.arange(1, int(spoken.ends[-1] / seconds) + 1) * seconds, spoken)


def _f1(found: Sequence[np.ndarray], spoken: Sequence[Spoken], tolerance: float) -> float:
    hits = sum(matched(times, one.words, tolerance) for times, one in zip(found, spoken, strict=True))
    total = sum(map(len, found)) + sum(len(one.words) for one in spoken)
    return 2 * hits / total if total else 0.0


def _best_detector(choice: Sequence[Spoken], tolerance: float) -> Detector:
    weights = np.concatenate([one.weights for one in choice])
    detectors = [
        Detector(float(threshold), edge, sign)
        for sign in (1, -1)
        for threshold in np.unique(np.quantile(sign * weights, np.linspace(0, 0.98, _THRESHOLDS)))
        for edge in ("start", "end")
    ]
    return max(detectors, key=lambda detector: _f1([detector(one) for one in choice], choice, tolerance))


def _best_spacing(choice: Sequence[Spoken], tolerance: float) -> float:
    return float(max(_SPACINGS, key=lambda seconds: _f1([_uniform(one, seconds) for one in choice], choice, tolerance)))


def _scores(found: Sequence[np.ndarray], spoken: Sequence[Spoken], tolerance: float, seed: int) -> dict[str, Any]:
    hits = np.array([matched(times, one.words, tolerance) for times, one in zip(found, spoken, strict=True)])
    num_found, num_wanted = np.array([len(times) for times in found]), np.array([len(one.words) for one in spoken])
    above = np.stack([hits, hits, 2 * hits], axis=1).astype(np.float64)
    below = np.stack([num_found, num_wanted, num_found + num_wanted], axis=1).astype(np.float64)
    scores = cells(*ratio_intervals(above, below, np.arange(len(spoken)), seed=seed))
    shares = dict(zip(("precision", "recall", "f1"), scores, strict=True))
    return {**shares, "r_value": r_value(hits.sum(), num_found.sum(), num_wanted.sum()), "found": int(num_found.sum())}


def r_value(hits: int, found: int, wanted: int) -> float:
    """One figure that too many boundaries do not raise, as they raise F1 (Räsänen et al., Interspeech 2009); 1 at best.

    Args:
        hits, found, wanted: how many.
    """
    recall, over = hits / wanted, found / wanted - 1
    return float(1 - (abs(np.hypot(1 - recall, over)) + abs(-over + recall - 1) / np.sqrt(2)) / 2)
