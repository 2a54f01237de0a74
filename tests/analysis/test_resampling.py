"""Intervals hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from smoltolk.analysis.resampling import half_sample_intervals, mean_intervals, ratio_intervals
from smoltolk.analysis.similarity import linear_cka
from smoltolk.common.errors import InputError
from smoltolk.evaluation.intervals import cluster_bootstrap

TRIALS = 200


def test_means_agree_with_the_bootstrap_of_scores() -> None:
    rng = np.random.default_rng(0)
    values, clusters = rng.random((90, 2)), np.repeat(np.arange(30), 3)
    mean, low, high = mean_intervals(values, clusters, seed=0)
    for column in range(2):
        other = cluster_bootstrap(values[:, column], clusters.astype(str), seed=0)
        assert mean[column] == pytest.approx(other.value)
        assert (low[column], high[column]) == pytest.approx((other.low, other.high), abs=0.01)


def test_clustered_means_are_covered() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(TRIALS):
        values = np.repeat(rng.standard_normal(25), 4) + 0.3 * rng.standard_normal(100)  # true mean 0
        _, low, high = mean_intervals(values[:, None], np.repeat(np.arange(25), 4), seed=trial)
        inside += bool(low[0] <= 0 <= high[0])
    assert 0.90 <= inside / TRIALS <= 0.99


def test_ratios_of_sums_are_covered() -> None:
    """As an F1: hits over what was found, of utterances of all lengths."""
    rng = np.random.default_rng(2)
    inside = 0
    for trial in range(TRIALS):
        found = rng.integers(5, 40, 40)
        hits = rng.binomial(found, 0.3)
        value, low, high = ratio_intervals(hits[:, None], found[:, None], np.arange(40), seed=trial)
        assert value[0] == pytest.approx(hits.sum() / found.sum())
        inside += bool(low[0] <= 0.3 <= high[0])
    assert 0.90 <= inside / TRIALS <= 0.99


def test_halves_cover_a_figure_of_all_items_together() -> None:
    """Unbiased CKA, whose value in the population is that of very many items."""
    rng = np.random.default_rng(3)
    mixing = rng.standard_normal((4, 4))

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        first = rng.standard_normal((count, 4))
        return first, first @ mixing + 2 * rng.standard_normal((count, 4))

    truth = linear_cka(*draw(4000), unbiased=True)
    inside = 0
    for trial in range(100):
        first, second = draw(120)

        def figure(items: np.ndarray, first: np.ndarray = first, second: np.ndarray = second) -> np.ndarray:
            return np.array([linear_cka(first[items], second[items], unbiased=True)])

        _, low, high = half_sample_intervals(figure, np.arange(120), seed=trial)
        inside += bool(low[0] <= truth <= high[0])
    assert inside / 100 >= 0.87


def test_halves_take_whole_clusters() -> None:
    clusters = np.repeat(np.arange(10), 5)
    seen: list[np.ndarray] = []

    def figure(items: np.ndarray) -> np.ndarray:
        seen.append(items)
        return np.array([float(len(items))])

    half_sample_intervals(figure, clusters, seed=0)
    whole, *halves = seen
    assert whole.tolist() == list(range(50))
    assert all(len(items) == 25 and (np.bincount(clusters[items], minlength=10) % 5 == 0).all() for items in halves)
    assert len({tuple(items) for items in halves}) > 10


def test_one_cluster_has_no_interval() -> None:
    with pytest.raises(InputError, match="two utterances"):
        mean_intervals(np.ones((4, 1)), np.zeros(4, np.int64), seed=0)
