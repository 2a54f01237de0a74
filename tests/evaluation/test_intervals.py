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


def mirrored(rng, num_facts, likings):
    """Points of 250 pairs of mirrored questions; ``likings``: how much options matter beside knowledge."""
    first = rng.integers(0, num_facts, 250)
    second = (first + rng.integers(1, num_facts, 250)) % num_facts
    known, liked = 0.3 + 0.5 * rng.standard_normal(num_facts), likings * rng.standard_normal(num_facts)
    lead = np.concatenate([liked[first] - liked[second], liked[second] - liked[first]])
    facts, rivals = np.concatenate([first, second]), np.concatenate([second, first])
    points = (known[facts] + lead + 0.5 * rng.standard_normal(500) > 0).astype(float)
    return points, facts, rivals


def test_likings_cancel_between_mirror_images():
    points, facts, rivals = mirrored(np.random.default_rng(4), 24, likings=2)
    alone = cluster_bootstrap(points, facts, seed=0)
    opposed = cluster_bootstrap(points, facts, seed=0, rivals=rivals)
    assert opposed.value == alone.value
    assert opposed.high - opposed.low < 0.6 * (alone.high - alone.low)


@pytest.mark.parametrize("likings", [0, 2])
def test_coverage_with_rivals(likings):
    rng = np.random.default_rng(5)
    truth = np.mean([mirrored(rng, 24, likings)[0].mean() for _ in range(1500)])
    covered = 0
    for trial in range(200):
        points, facts, rivals = mirrored(rng, 24, likings)
        interval = cluster_bootstrap(points, facts, seed=trial, rivals=rivals, resamples=400)
        covered += interval.low <= truth <= interval.high
    assert covered / 200 >= 0.92


def test_own_fact_as_rival_changes_nothing():
    rng = np.random.default_rng(6)
    values, clusters = rng.integers(0, 2, 60).astype(float), rng.integers(0, 6, 60)
    assert cluster_bootstrap(values, clusters, seed=0, rivals=clusters) == cluster_bootstrap(values, clusters, seed=0)


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
    with pytest.raises(InputError, match=r"one cluster \(and rival\) for each item"):
        cluster_bootstrap(np.ones(3), ["a", "b"], seed=0)
    with pytest.raises(InputError, match="same items from both systems"):
        paired_difference(np.ones(3), np.ones(2), ["a", "b", "c"], seed=0)
