"""Boundaries: matched once each, found where the weight says, and better than chance only where it knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from transformers import PreTrainedTokenizerFast

from smoltolk.analysis.boundaries import (
    BASELINES,
    METHODS,
    Detector,
    Spoken,
    has_boundaries,
    matched,
    r_value,
    word_boundaries,
)
from smoltolk.analysis.material import Material
from smoltolk.common.seeds import generator
from smoltolk.data.shards.parquet import read_shards
from smoltolk.model.ids import IdSpace


def test_each_boundary_counts_once() -> None:
    assert matched(np.array([0.10, 0.12]), np.array([0.11]), 0.02) == 1
    assert matched(np.array([0.10]), np.array([0.09, 0.11]), 0.02) == 1
    assert matched(np.array([0.1, 0.5, 0.9]), np.array([0.12, 0.45, 0.9]), 0.02) == 2
    assert matched(np.array([0.1, 0.5, 0.9]), np.array([0.12, 0.45, 0.9]), 0.05) == 3
    assert matched(np.zeros(0), np.array([0.1]), 0.05) == 0


def test_as_many_pairs_as_can_be_made() -> None:
    """Against all ways to pair."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        found, wanted = np.sort(rng.random(8)), np.sort(rng.random(6))
        near = np.abs(found[:, None] - wanted[None]) <= 0.05
        rows, columns = linear_sum_assignment(-near.astype(float))
        assert matched(found, wanted, 0.05) == near[rows, columns].sum()


def test_peaks_above_a_threshold_mark_an_edge() -> None:
    edges = np.arange(7) / 10
    spoken = Spoken(np.array([0.9, 0.1, 0.5, 0.2, 0.3, 0.25]), edges[:-1], edges[1:], np.array([0.3]))
    assert Detector(0.4, "end", 1)(spoken).tolist() == pytest.approx([0.1, 0.3])
    assert Detector(0.4, "start", 1)(spoken).tolist() == pytest.approx([0.2])  # 0 is no boundary
    assert Detector(0.25, "end", 1)(spoken).tolist() == pytest.approx([0.1, 0.3, 0.5])
    assert Detector(-0.15, "start", -1)(spoken).tolist() == pytest.approx([0.1])


def test_the_r_value_is_1_for_what_is_right_and_punishes_too_many() -> None:
    assert r_value(10, 10, 10) == pytest.approx(1)
    assert r_value(10, 40, 10) < r_value(7, 10, 10)
    # By hand: recall 0.5, over-segmentation 0.2.
    assert r_value(5, 12, 10) == pytest.approx(1 - (np.hypot(0.5, 0.2) + abs(-0.2 + 0.5 - 1) / np.sqrt(2)) / 2)


@pytest.fixture(scope="module")
def knowing(material: Material) -> list[np.ndarray]:
    """Weights [units, 2] with a peak at the last unit before each word begins."""
    weights = []
    for utterance in material.utterances:
        _, ends = material.unit_times(utterance)
        begins = material.units.words(utterance)[1][1:]
        last = np.array([np.abs(begins - end).min(initial=1) < 0.01 for end in ends])
        weights.append(np.stack([1 - 0.9 * last, 0.05 + 0.9 * last], axis=1))
    return weights


def test_a_selector_that_knows_where_words_begin(material: Material, knowing: list[np.ndarray]) -> None:
    found = word_boundaries(knowing, material, seed=0)
    for tolerance in ("20", "50"):
        scores = found[tolerance]["selector"]
        assert scores["f1"]["value"] == scores["precision"]["value"] == pytest.approx(1)
        assert scores["chosen"]["edge"] == "end" and scores["chosen"]["sign"] == 1
        for method in (METHODS[1], *BASELINES):
            assert found[tolerance][method]["f1"]["value"] < 0.8
    assert found["20"]["as many, evenly"]["found"] == found["20"]["selector"]["found"]
    assert found["n"] + found["chosen_on"] == len(material.utterances)
    assert found["20"]["every unit"]["recall"]["value"] == pytest.approx(1)


def test_dips_and_starts_are_found_too(material: Material, knowing: list[np.ndarray]) -> None:
    later = [np.concatenate([each[:1, ::-1], each[:-1, ::-1]]) for each in knowing]
    found = word_boundaries(later, material, seed=0)["20"]["selector"]
    # The dip at a word's first unit, or the last of the equal weights before it.
    assert (found["chosen"]["edge"], found["chosen"]["sign"]) in {("start", -1), ("end", 1)}
    assert found["f1"]["value"] > 0.97


def test_what_is_chosen_on_is_not_scored(material: Material, knowing: list[np.ndarray]) -> None:
    """Weights that tell words in the utterances of the choice alone."""
    rng = np.random.default_rng(1)
    first = word_boundaries(knowing, material, seed=0)["chosen_on"]
    chosen = generator(0, "boundaries", len(knowing)).permutation(len(knowing))[:first]
    mixed = [each if k in chosen else rng.random(each.shape) for k, each in enumerate(knowing)]
    found = word_boundaries(mixed, material, seed=0)["20"]["selector"]
    assert found["chosen"]["edge"] == "end" and found["f1"]["value"] < 0.6


def test_a_selector_that_knows_nothing_is_no_better_than_any_edge(material: Material) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.random((len(material.units.units(utterance)), 2)) for utterance in material.utterances]
    found = word_boundaries(noise, material, seed=0)["20"]
    assert found["selector"]["precision"]["low"] < found["every unit"]["precision"]["high"] + 0.03


def test_utterances_of_one_word_leave_boundaries_on_both_sides(
    speak: Callable, write_shards: Callable, tokenizer: PreTrainedTokenizerFast, space: IdSpace, tmp_path: Path
) -> None:
    """Three of thirty have two words: wherever chance puts the others, one is chosen on and two are scored."""
    texts = ["dog"] * 27 + ["she sees a dog"] * 3
    place = write_shards(tmp_path / "a.parquet", [speak(str(k), text, "x") for k, text in enumerate(texts)])
    for seed in range(5):
        material = Material(read_shards(place), tokenizer, space, num_items=60, seed=seed)
        assert has_boundaries(material)
        weights = [np.full((len(material.units.units(u)), 2), 0.5) for u in material.utterances]
        found = word_boundaries(weights, material, seed=seed)
        assert (found["boundaries"], found["n"], found["chosen_on"]) == (6, 20, 10)
