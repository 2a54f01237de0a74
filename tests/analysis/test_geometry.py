"""Intrinsic dimension against scikit-dimension and against what is known; subspaces against principal angles."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from smoltolk.analysis.geometry import geometry, subspace_overlap, two_nn


def clouds() -> list[np.ndarray]:
    rng = np.random.Generator(np.random.Philox(key=5))
    first = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 30))
    second = rng.standard_normal((150, 8))
    return [first, second, np.c_[rng.uniform(size=(300, 2)), np.zeros((300, 4))]]


def test_the_figures_of_scikit_dimension() -> None:
    """``skdim.id.TwoNN().fit(cloud).dimension_`` of scikit-dimension 0.5.0."""
    expected = [3.2277287792025278, 6.142709876535608, 2.2073091561164957]
    assert [two_nn(cloud) for cloud in clouds()] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_a_flat_cloud_has_its_dimension_wherever_it_lies(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    found = [two_nn(rng.uniform(size=(500, dimension)) @ rng.standard_normal((dimension, 20))) for _ in range(4)]
    assert np.mean(found) == pytest.approx(dimension, rel=0.15)


def test_equal_states_count_once() -> None:
    cloud = clouds()[0]
    assert two_nn(np.concatenate([cloud, cloud[:50]])) == pytest.approx(two_nn(cloud))
    assert np.isnan(two_nn(np.ones((100, 4))))


@pytest.mark.parametrize("count", [30, 200])  # items, fewer and more than dimensions
def test_overlap_is_the_mean_squared_cosine_of_principal_angles(count: int) -> None:
    rng = np.random.default_rng(1)
    scales = np.linspace(3, 0.5, 50)
    first, second = (rng.standard_normal((count, 50)) * scales + rng.standard_normal(50) for _ in range(2))
    planes = [np.linalg.svd(states - states.mean(0), full_matrices=False)[2][:6].T for states in (first, second)]
    expected = np.mean(np.cos(subspace_angles(*planes)) ** 2)
    assert subspace_overlap(first, second, 6) == pytest.approx(expected)
    assert subspace_overlap(first, 2 * first - 1, 6) == pytest.approx(1)


def test_overlap_of_random_subspaces_is_their_share_of_the_space() -> None:
    rng = np.random.default_rng(2)
    found = [subspace_overlap(*rng.standard_normal((2, 100, 40)), directions=10) for _ in range(30)]
    assert np.mean(found) == pytest.approx(10 / 40, abs=0.02)


def test_by_layer() -> None:
    rng = np.random.default_rng(3)
    speech, text = rng.standard_normal((2, 3, 80, 12))
    text[1] = speech[1]
    text[2, 40:] = text[2, :40]
    found = geometry(speech, text, np.arange(80) // 4, seed=0, directions=4)
    assert [len(found[name]) for name in ("dimension_speech", "dimension_text", "overlap")] == [3, 3, 3]
    assert found["overlap"][1]["value"] == pytest.approx(1)
    assert found["overlap"][0]["value"] == pytest.approx(subspace_overlap(speech[0], text[0], 4))
    assert found["dimension_speech"][2]["value"] == pytest.approx(two_nn(speech[2]))
    assert found["distinct_text"] == [80, 80, 40] and found["chance"] == pytest.approx(4 / 12)


def test_too_few_different_states_have_no_dimension() -> None:
    """Of ten words a half has too few, of five the whole: no figure, and no number that JSON does not know."""
    rng = np.random.default_rng(4)
    speech = rng.standard_normal((2, 60, 6))
    text = np.stack([np.tile(rng.standard_normal((10, 6)), (6, 1)), np.tile(rng.standard_normal((5, 6)), (12, 1))])
    found = geometry(speech, text, np.arange(60), seed=0)["dimension_text"]
    assert found[0]["value"] is not None and found[1] == {"value": None, "low": None, "high": None}
    json.dumps(found, allow_nan=False)
