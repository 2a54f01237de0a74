import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer
from smoltolk.speech.units.quality import (
    count_pairs,
    cross_voice_ratio,
    edit_distance,
    measure_units,
    pnmi,
    purity,
)


def test_units_that_are_phones_under_other_names_are_perfect() -> None:
    phones = np.array([0, 0, 1, 2, 2, 2])
    counts = count_pairs(phones, np.array([4, 4, 0, 1, 1, 1]))
    assert purity(counts) == 1.0
    assert pnmi(counts) == pytest.approx(1.0)


def test_units_that_know_nothing_of_phones() -> None:
    counts = np.array([[10, 20], [10, 20]])
    assert purity(counts) == 0.5
    assert pnmi(counts) == pytest.approx(0.0, abs=1e-12)
    assert pnmi(np.array([[3], [1]])) == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(pnmi(np.array([[3, 1]])))  # one phone has no entropy


def test_pnmi_by_hand() -> None:
    # Two phones, 4 frames: I = 1 - (3/4) h(1/3) bits where unit 0 holds phones 1 + 2 frames; H(phone) = 1.
    counts = np.array([[2, 0], [1, 1]])
    mixed = -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))
    assert pnmi(counts) == pytest.approx(1 - 0.75 * mixed)


def slow_distance(a: list[int], b: list[int]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_edit_distance_equals_the_textbook(a: list[int], b: list[int]) -> None:
    assert edit_distance(np.array(a, dtype=int), np.array(b, dtype=int)) == slow_distance(a, b)


def test_cross_voice_ratio_by_hand() -> None:
    first, second = np.array([1, 2, 3, 4]), np.array([5, 6, 7, 8])
    assert cross_voice_ratio([[first, first], [second, second]]) == 0.0
    accent = np.array([1, 2, 3, 9])
    # Same sentence: 1/4 and 0. Other sentences: 1 in both voices.
    assert cross_voice_ratio([[first, accent], [second, second]]) == pytest.approx(0.125)


@pytest.mark.parametrize("sentences", [[], [[np.array([1])]], [[np.array([1])] * 2, [np.array([1])]]])
def test_comparisons_need_sentences_in_the_same_voices(sentences: list[list[np.ndarray]]) -> None:
    with pytest.raises(InputError, match="two sentences"):
        cross_voice_ratio(sentences)


def test_a_trained_encoder_is_better_than_chance(tokenizer: PhoneUnitTokenizer, labelled: list[LabelledSpeech]) -> None:
    sentences = [[u.waveform for u in labelled[4 * i : 4 * i + 4]] for i in range(4)]
    quality = measure_units(tokenizer, labelled[:8], seen=sentences)
    assert quality.pnmi > 0.6 and quality.purity > 0.6
    assert quality.cross_voice_seen < 0.7
    assert math.isnan(quality.cross_voice_unseen)
    assert 5 < quality.units_per_second < 20
    assert 10 < quality.bits_per_second < 20 * math.log2(41)
    assert quality.num_seconds == pytest.approx(sum(len(u.waveform) for u in labelled[:8]) / 16_000)
    # What has no phones counts in the rates alone.
    mixed = measure_units(tokenizer, [*labelled[:4], *(LabelledSpeech(one.waveform, ()) for one in labelled[4:8])])
    assert mixed.pnmi == measure_units(tokenizer, labelled[:4]).pnmi != quality.pnmi
    assert mixed.units_per_second == quality.units_per_second
    with pytest.raises(InputError, match="no utterances"):
        measure_units(tokenizer, [])
