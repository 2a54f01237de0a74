from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.model.codec.delays import SILENT, delayed, undelayed

DELAYS = st.lists(st.integers(0, 4), max_size=5).map(lambda later: (0, *later))


def test_three_codebooks_one_behind_the_other() -> None:
    frames = np.array([[1, 2, 3], [4, 5, 6]])
    grid = delayed(frames, (0, 1, 2))
    assert grid.tolist() == [[1, -1, -1], [4, 2, -1], [-1, 5, 3], [-1, -1, 6]]
    assert undelayed(grid, (0, 1, 2)).tolist() == frames.tolist()


def test_a_run_that_was_cut_short_keeps_what_it_has() -> None:
    grid = delayed(np.arange(6).reshape(3, 2), (0, 2))[:3]
    assert undelayed(grid, (0, 2)).tolist() == [[0, 1], [2, SILENT], [4, SILENT]]


@given(DELAYS, st.integers(0, 9), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_undoing_the_delay_gives_the_units_back(delays: tuple[int, ...], length: int, random) -> None:
    frames = np.array([[random.randrange(9) for _ in delays] for _ in range(length)]).reshape(length, len(delays))
    grid = delayed(frames, delays)
    assert np.array_equal(undelayed(grid, delays), frames)
    assert len(grid) == (length + max(delays) if length else 0)
    assert (grid >= 0).sum() == frames.size
    for codebook, delay in enumerate(delays):
        assert np.array_equal(np.flatnonzero(grid[:, codebook] >= 0), np.arange(length) + delay)


@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 3, 1)])
def test_frames_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"frames are a matrix \[frames, codebooks\]"):
        delayed(np.zeros(shape, int), (0, 1, 2))
