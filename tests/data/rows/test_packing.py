from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.data.rows.packing import choose_last, cut, fill_rows

lengths_st = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(lengths_st, st.integers(8, 50), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_rows_tile_the_documents_and_begin_each_with_room(lengths, row_length, minimum):
    rows = fill_rows(np.array(lengths), row_length, minimum)
    assert rows[0] == 0 and rows[-1] == len(lengths) and np.all(np.diff(rows) > 0)
    for low, high in pairwise(rows):
        assert sum(lengths[low : high - 1]) <= row_length - minimum or high == low + 1
        if high < len(lengths):
            assert sum(lengths[low:high]) > row_length - minimum


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=50), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_pieces_tile_and_fit(items, capacity):
    costs, good = np.array([cost for cost, _ in items]), np.array([good for _, good in items])
    borders = cut(costs, good, capacity)
    assert borders[0] == 0 and borders[-1] == len(items) and np.all(np.diff(borders) > 0)
    for low, high in pairwise(borders):
        assert costs[low:high].sum() <= capacity or high == low + 1
        if high < len(items) and not good[high - 1]:
            assert not good[low:high].any()  # a cut elsewhere only where there is no good place


def test_cuts_fall_behind_sentences():
    assert cut(np.ones(10), np.array([0, 0, 1, 0, 0, 1, 0, 0, 0, 1], bool), 5).tolist() == [0, 3, 6, 10]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_only_the_last_is_cut_off(lengths, seed):
    room = sum(lengths) - min(lengths)
    order = choose_last(np.array(lengths), room, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert sum(lengths[place] for place in order[:-1]) <= room


def test_each_document_has_its_turn_to_be_last():
    rng = np.random.default_rng(0)
    last = [int(choose_last(np.array([30, 30, 30]), 70, rng)[-1]) for _ in range(60)]
    assert set(last) == {0, 1, 2}
    assert choose_last(np.array([30, 50, 30]), 10, rng)[-1] == 1
