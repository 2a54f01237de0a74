from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import (
    SpanLengths,
    draw_runs,
    locate_words,
    stops,
    words_of_tokens,
    words_of_units,
)

durations_st = st.lists(st.integers(1, 9), max_size=40)
ends_st = st.lists(st.floats(0, 4), min_size=1, max_size=12).map(sorted)


def majority_by_loop(durations: list[int], ends: list[float], rate: float) -> list[int]:
    """The rule, frame by frame."""
    words, frame = [], 0
    for duration in durations:
        votes = [0] * len(ends)
        for _ in range(duration):
            centre = (frame + 0.5) / rate
            word = next((k for k in range(len(ends)) if centre < ends[k]), len(ends) - 1)
            votes[word] += 1
            frame += 1
        words.append(votes.index(max(votes)))
    return words


@given(durations_st, ends_st)
@settings(max_examples=200, deadline=None)
def test_a_unit_belongs_to_the_word_of_most_of_its_frames(durations, ends):
    words = words_of_units(np.array(durations, int), np.array(ends), 25.0)
    assert words.tolist() == majority_by_loop(durations, ends, 25.0)


@given(durations_st, ends_st, st.data())
@settings(max_examples=100, deadline=None)
def test_runs_of_words_tile_the_units(durations, ends, data):
    cut = stops(words_of_units(np.array(durations, int), np.array(ends), 25.0), len(ends))
    assert cut[-1] == len(durations) and np.all(np.diff(cut, prepend=0) >= 0)
    lengths = SpanLengths(text=(1, 3), speech=(2, 2))
    borders, _ = draw_runs(len(ends), lengths, np.random.default_rng(data.draw(st.integers(0, 99))))
    at = np.concatenate([[0], cut])[borders]
    covered = [unit for low, high in pairwise(at) for unit in range(low, high)]
    assert covered == list(range(len(durations)))


def test_silence_goes_to_the_following_word_and_the_last_silence_to_the_last():
    # Words at 0.2-0.4 and 0.8-1.0 s, one unit each 0.2 s: silence, word, silence, silence, word, silence.
    words = words_of_units(np.full(6, 5), np.array([0.4, 1.0]), 25.0)
    assert words.tolist() == [0, 0, 1, 1, 1, 1]


def test_a_word_may_own_no_unit_and_silence_alone_belongs_to_the_only_word():
    assert words_of_units(np.array([10]), np.array([0.1, 0.12, 0.4]), 25.0).tolist() == [2]
    assert words_of_units(np.array([50]), np.array([0.0]), 25.0).tolist() == [0]
    assert words_of_units(np.zeros(0, int), np.array([0.5]), 25.0).tolist() == []


def test_units_without_words_are_refused():
    with pytest.raises(InputError, match="units need words"):
        words_of_units(np.array([3]), np.zeros(0), 25.0)


@given(st.integers(0, 200), st.tuples(st.integers(1, 9), st.integers(0, 9)), st.integers(0, 50))
@settings(max_examples=200, deadline=None)
def test_runs_cover_every_word_once_with_lengths_inside_the_bounds(num_words, sizes, seed):
    low, more = sizes
    lengths = SpanLengths(text=(low, low + more), speech=(low + 1, low + 1 + more))
    borders, speech = draw_runs(num_words, lengths, np.random.default_rng(seed))
    assert borders[0] == 0 and borders[-1] == num_words
    runs = np.diff(borders)
    assert np.all(runs > 0)
    for number, run in enumerate(runs):
        least, most = lengths.speech if speech else lengths.text
        assert run <= most and (run >= least or number == len(runs) - 1)
        speech = not speech


def test_both_modalities_begin_and_both_bounds_occur():
    lengths = SpanLengths(text=(2, 3), speech=(4, 5))
    drawn = [draw_runs(40, lengths, np.random.default_rng(seed)) for seed in range(50)]
    assert {speech for _, speech in drawn} == {True, False}
    text = {int(run) for borders, speech in drawn for run in np.diff(borders)[int(speech) : -1 : 2]}
    spoken = {int(run) for borders, speech in drawn for run in np.diff(borders)[1 - int(speech) : -1 : 2]}
    assert text == {2, 3} and spoken == {4, 5}


@pytest.mark.parametrize("bad", [(0, 3), (4, 3)])
def test_impossible_lengths_are_refused(bad):
    with pytest.raises(InputError, match="fewest <= most"):
        SpanLengths(text=bad)


def test_spaces_belong_to_the_following_word():
    # "a  cat. " as a | space | " cat" | "." | " "
    words = words_of_tokens(np.array([1, 2, 6, 7, 8]), np.array([1, 7]))
    assert words.tolist() == [0, 1, 1, 1, 1]
    assert stops(words, 2).tolist() == [1, 5]


def test_words_are_found_in_the_text_or_take_its_place():
    assert locate_words("Mia  owns\ta cat.", ["mia", "owns", "a", "cat"])[1].tolist() == [3, 9, 11, 16]
    text, found = locate_words("In 21 days", ["in", "twenty", "one", "days"])
    assert text == "in twenty one days" and found.tolist() == [2, 9, 13, 18]
