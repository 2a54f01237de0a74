"""Retrieval of what is the same, of what is unrelated, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from smoltolk.analysis.retrieval import ranks_of, retrieval


def test_ranks_by_hand() -> None:
    keys = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    queries = np.array([[3.0, 0.1], [1.0, 0.9], [0.0, 1.0]])
    # Of the second query the third key comes first, then the first, then its own; of the third its own is second.
    assert ranks_of(queries, keys).tolist() == [1, 3, 2]


def test_equal_keys_do_not_help() -> None:
    """States that all fell together find nothing."""
    assert ranks_of(np.ones((7, 4)), np.ones((7, 4))).tolist() == [7] * 7


def test_identical_states_are_always_found() -> None:
    states = np.random.default_rng(0).standard_normal((3, 50, 8))
    found = retrieval(states, states, seed=0)
    for kind in ("raw", "centred"):
        for way in ("speech->text", "text->speech"):
            assert all(cell["value"] == cell["low"] == 1 for cell in found[kind][way]["recall"]["1"])
            assert all(cell["value"] == cell["high"] == 1 for cell in found[kind][way]["median_rank"])


def test_unrelated_states_are_found_by_chance() -> None:
    rng = np.random.default_rng(1)
    found = retrieval(*rng.standard_normal((2, 40, 100, 8)), seed=0)  # 40 layers: 40 draws
    assert found["chance"]["recall"] == {"1": 0.01, "5": 0.05, "10": 0.1}
    for way in ("speech->text", "text->speech"):
        for k, chance in found["chance"]["recall"].items():
            values = [cell["value"] for cell in found["raw"][way]["recall"][k]]
            assert abs(np.mean(values) - chance) < 3.5 * np.sqrt(chance * (1 - chance) / 4000)
            covered = [cell["low"] <= chance <= cell["high"] for cell in found["raw"][way]["recall"]["10"]]
        assert np.mean(covered) > 0.8
        medians = [cell["value"] for cell in found["raw"][way]["median_rank"]]
        assert np.mean(medians) == pytest.approx(found["chance"]["median_rank"], abs=4)


def test_centring_takes_away_what_divides_the_modalities() -> None:
    """Text is speech behind a large shift of its own: raw cosines see the shift alone."""
    rng = np.random.default_rng(2)
    speech = rng.standard_normal((1, 80, 6))
    text = speech + 0.1 * rng.standard_normal((1, 80, 6)) + np.array([40.0, -20, 30, 0, 10, -30])
    found = retrieval(speech, text, seed=0)
    assert found["centred"]["speech->text"]["recall"]["1"][0]["value"] > 0.9
    assert found["raw"]["speech->text"]["recall"]["1"][0]["value"] < 0.5


def test_the_median_interval_is_that_of_resampled_ranks() -> None:
    rng = np.random.default_rng(3)
    speech = rng.standard_normal((1, 61, 4))
    text = speech + rng.standard_normal((1, 61, 4))
    cell = retrieval(speech, text, seed=0)["raw"]["speech->text"]["median_rank"][0]
    ranks = ranks_of(speech[0], text[0])
    medians = [np.median(rng.choice(ranks, 61)) for _ in range(4000)]
    assert cell["value"] == np.median(ranks)
    assert (cell["low"], cell["high"]) == pytest.approx(np.quantile(medians, [0.025, 0.975]), abs=1)
