"""CKA and mutual nearest neighbours against the formulas as they are written, their invariances, and chance."""

from __future__ import annotations

import numpy as np
import pytest

from smoltolk.analysis.similarity import alignment, chance_knn, linear_cka, mutual_knn, prepared


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two views of the same 40 items, one the other's with noise."""
    first = rng.standard_normal((40, 7)) + 2
    return first, first @ rng.standard_normal((7, 5)) + rng.standard_normal((40, 5))


def naive_hsic(K: np.ndarray, L: np.ndarray, unbiased: bool) -> float:
    n = len(K)
    if not unbiased:
        H = np.eye(n) - 1 / n
        return float(np.trace(K @ H @ L @ H))
    K, L, ones = K - np.diag(np.diag(K)), L - np.diag(np.diag(L)), np.ones(n)
    total = np.trace(K @ L) + (ones @ K @ ones) * (ones @ L @ ones) / ((n - 1) * (n - 2))
    return float((total - 2 / (n - 2) * (ones @ K @ L @ ones)) / (n * (n - 3)))


@pytest.mark.parametrize("unbiased", [False, True])
def test_cka_is_the_formula(pair: tuple[np.ndarray, np.ndarray], unbiased: bool) -> None:
    K, L = (states @ states.T for states in pair)
    expected = naive_hsic(K, L, unbiased) / np.sqrt(naive_hsic(K, K, unbiased) * naive_hsic(L, L, unbiased))
    assert linear_cka(*pair, unbiased=unbiased) == pytest.approx(expected, rel=1e-10)
    assert 0.1 < expected < 0.99


@pytest.mark.parametrize("unbiased", [False, True])
def test_cka_knows_no_rotation_scale_or_shift(
    pair: tuple[np.ndarray, np.ndarray], unbiased: bool, rng: np.random.Generator
) -> None:
    first, second = pair
    rotation = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    assert linear_cka(first, 3 * first @ rotation + 5, unbiased=unbiased) == pytest.approx(1)
    same = linear_cka(0.1 * first @ rotation - 2, 7 * second, unbiased=unbiased)
    assert same == pytest.approx(linear_cka(first, second, unbiased=unbiased))
    stretched = first * np.array([100, 1, 1, 1, 1, 1, 1])  # but it does know what is no rotation
    assert linear_cka(stretched, second, unbiased=unbiased) != pytest.approx(same, abs=0.01)


def test_unbiased_cka_of_unrelated_states_is_nothing(rng: np.random.Generator) -> None:
    """As many dimensions as items: the biased one is far above 0, the unbiased one around it."""
    found = np.array(
        [
            [linear_cka(one, other, unbiased=unbiased) for unbiased in (False, True)]
            for one, other in (rng.standard_normal((2, 50, 50)) for _ in range(40))
        ]
    )
    biased, unbiased = found.T
    assert biased.mean() > 0.4
    assert abs(unbiased.mean()) < 4 * unbiased.std() / np.sqrt(40) + 1e-3


def test_mutual_neighbours_by_sorting(pair: tuple[np.ndarray, np.ndarray]) -> None:
    shared = []
    for i in range(40):
        sets = []
        for states in pair:
            order = sorted((j for j in range(40) if j != i), key=lambda j: -float(states[i] @ states[j]))
            sets.append(set(order[:6]))
        shared.append(len(sets[0] & sets[1]) / 6)
    assert mutual_knn(*pair, k=6) == pytest.approx(np.mean(shared))
    assert mutual_knn(pair[0], pair[0]) == 1


def test_mutual_neighbours_of_unrelated_states_are_chance(rng: np.random.Generator) -> None:
    found = [mutual_knn(*rng.standard_normal((2, 100, 8))) for _ in range(60)]
    error = np.std(found, ddof=1) / np.sqrt(60)
    assert abs(np.mean(found) - chance_knn(100)) < 3 * error
    assert chance_knn(100) == pytest.approx(10 / 99)


def test_preparation_clamps_over_all_layers_then_brings_to_length_1(rng: np.random.Generator) -> None:
    states = rng.standard_normal((3, 30, 10)).astype(np.float32)
    states[1, 4, 2] = 1e4  # one of those dimensions that drown all others
    bound = np.sort(np.abs(states).ravel())[int(0.95 * states.size)]
    found = prepared(states)
    assert np.linalg.norm(found, axis=-1) == pytest.approx(np.ones((3, 30)))
    row = np.clip(states[1, 4], -bound, bound)
    assert found[1, 4] == pytest.approx(row / np.linalg.norm(row))


def test_alignment_layer_by_layer_and_over_pairs(rng: np.random.Generator) -> None:
    """Speech's second layer is text's first, turned: the pair with the largest figures."""
    text = rng.standard_normal((3, 60, 8))
    rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    speech = np.stack([rng.standard_normal((60, 8)), text[0] @ rotation])
    speech = np.concatenate([speech, rng.standard_normal((1, 60, 8))])
    found = alignment(speech, text, np.arange(60) // 3, seed=0, k=5)
    here, there = prepared(speech), prepared(text)
    for layer in range(3):
        assert found["cka"][layer]["value"] == pytest.approx(linear_cka(here[layer], there[layer]))
        unbiased = linear_cka(here[layer], there[layer], unbiased=True)
        assert found["cka_unbiased"][layer]["value"] == pytest.approx(unbiased)
        assert found["knn"][layer]["value"] == pytest.approx(mutual_knn(here[layer], there[layer], 5))
        cell = found["knn"][layer]
        assert cell["low"] < cell["value"] < cell["high"]
    for name, figure in {"cka": linear_cka(here[1], there[0]), "knn": mutual_knn(here[1], there[0], 5)}.items():
        best = found["best"][name]
        assert (best["speech_layer"], best["text_layer"]) == (1, 0)
        assert best["value"] == pytest.approx(figure)
    assert found["chance"] == pytest.approx(5 / 59) and found["n"] == 60


def test_intervals_of_few_items_hold_chance(rng: np.random.Generator) -> None:
    """Of 24 items a half has 12: with all ten neighbours of eleven others every half would have the same figure."""
    inside = 0
    for trial in range(60):
        speech, text = rng.standard_normal((2, 1, 24, 6))
        (cell,) = alignment(speech, text, np.arange(24), seed=trial)["knn"]
        inside += cell["low"] <= chance_knn(24) <= cell["high"]
    assert inside >= 54
