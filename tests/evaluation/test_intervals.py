from __future__ import annotations

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.evaluation.intervals import choice_outcomes, cluster_bootstrap, paired_difference


def test_ties():
    right, wrong = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0])
    assert choice_outcomes(right, wrong).tolist() == [1, 0.5, 0]
    assert choice_outcomes(right, wrong, "wrong").tolist() == [1, 0, 0]


def test_same_seed_same_interval_and_another_seed_another():
    rng = np.random.default_rng(0)
    values, clusters = rng.integers(0, 2, 200).astype(float), rng.integers(0, 20, 200)
    first = cluster_bootstrap(values, clusters, seed=1)
    assert first == cluster_bootstrap(values, clusters, seed=1)
    assert first != cluster_bootstrap(values, clusters, seed=2)
    assert first.low < first.value < first.high
    assert (first.n, first.clusters) == (200, 20)
    assert first.value == pytest.approx(values.mean())


def test_clusters_of_equal_items_count_as_one_each():
    """Copies of an item add no information: the interval must not shrink."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2, 30).astype(float)
    single = cluster_bootstrap(values, np.arange(30), seed=0)
    tenfold = cluster_bootstrap(np.repeat(values, 10), np.repeat(np.arange(30), 10), seed=0)
    assert (tenfold.low, tenfold.high) == pytest.approx((single.low, single.high))
    naive = cluster_bootstrap(np.repeat(values, 10), np.arange(300), seed=0)
    assert naive.high - naive.low < 0.5 * (tenfold.high - tenfold.low)


@pytest.mark.parametrize("num_clusters", [12, 24])
def test_coverage_is_near_95_percent(num_clusters):
    """Facts known to a varying degree, ten items each; how often does the interval hold the truth?"""
    rng = np.random.default_rng(2)
    covered, trials = 0, 400
    clusters = np.repeat(np.arange(num_clusters), 10)
    for trial in range(trials):
        known = np.repeat(rng.beta(2, 1.5, num_clusters), 10)
        values = (rng.random(len(known)) < known).astype(float)
        interval = cluster_bootstrap(values, clusters, seed=trial, resamples=500)
        covered += interval.low <= 2 / 3.5 <= interval.high
    assert 0.92 <= covered / trials <= 0.98


def test_equal_values_have_no_width():
    interval = cluster_bootstrap(np.ones(9), np.arange(9), seed=0)
    assert (interval.value, interval.low, interval.high) == (1, 1, 1)


def test_paired_difference_is_tighter_than_two_intervals():
    rng = np.random.default_rng(3)
    hard = rng.random(400)
    clusters = np.repeat(np.arange(40), 10)
    first = (hard < 0.7).astype(float)
    second = (hard < 0.6).astype(float)
    difference = paired_difference(first, second, clusters, seed=0)
    assert difference.value == pytest.approx(first.mean() - second.mean())
    alone = cluster_bootstrap(first, clusters, seed=0)
    assert difference.low > 0
    assert difference.high - difference.low < alone.high - alone.low
    same = paired_difference(first, first, clusters, seed=0)
    assert (same.low, same.high) == (0, 0)


def test_errors():
    with pytest.raises(InputError, match="two clusters at least"):
        cluster_bootstrap(np.ones(3), ["a", "a", "a"], seed=0)
    with pytest.raises(InputError, match="one cluster for each item"):
        cluster_bootstrap(np.ones(3), ["a", "b"], seed=0)
    with pytest.raises(InputError, match="same items from both systems"):
        paired_difference(np.ones(3), np.ones(2), ["a", "b", "c"], seed=0)
