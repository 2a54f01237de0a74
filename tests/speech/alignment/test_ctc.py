"""The best path is the best of all paths, however it is computed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment import ctc
from smoltolk.speech.alignment.ctc import best_path

BLANK = 0


def said_by(path: tuple[int, ...]) -> list[int]:
    return [one for one, _ in itertools.groupby(path) if one != BLANK]


def score(log_probs: np.ndarray, ids: np.ndarray, places: np.ndarray) -> float:
    return sum(frame[BLANK if place < 0 else ids[place]] for frame, place in zip(log_probs, places, strict=True))


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_no_other_path_is_better(seed: int, num_ids: int, num_frames: int) -> None:
    random = np.random.default_rng(seed)
    ids = random.integers(1, 4, num_ids)
    log_probs = np.log(random.dirichlet(np.ones(4), num_frames))
    paths = [path for path in itertools.product(range(4), repeat=num_frames) if said_by(path) == ids.tolist()]
    if not paths:
        with pytest.raises(InputError, match="long enough for its text"):
            best_path(log_probs, ids, BLANK)
        return
    places = best_path(log_probs, ids, BLANK)
    best = max(sum(log_probs[frame, one] for frame, one in enumerate(path)) for path in paths)
    assert score(log_probs, ids, places) == pytest.approx(best)
    assert said_by(tuple(0 if place < 0 else place + 1 for place in places)) == list(range(1, num_ids + 1))


@pytest.mark.parametrize("stretch", [1, 2, 7, 50, 400])
def test_what_is_kept_does_not_matter(stretch: int) -> None:
    random = np.random.default_rng(0)
    ids = random.integers(1, 6, 90)
    log_probs = np.log(random.dirichlet(np.ones(6), 300)).astype(np.float32)
    kept = ctc._forward(log_probs, ids, BLANK, stretch)
    assert (ctc._backward(log_probs, ids, BLANK, stretch, kept) == best_path(log_probs, ids, BLANK)).all()


def test_a_clear_recording_is_found_exactly() -> None:
    ids = np.array([3, 3, 1, 2])
    said = [0, 3, 3, 0, 3, 1, 1, 1, 0, 0, 2]
    log_probs = np.log(np.where(np.arange(4) == np.array(said)[:, None], 0.97, 0.01))
    assert best_path(log_probs, ids, BLANK).tolist() == [-1, 0, 0, -1, 1, 2, 2, 2, -1, -1, 3]


def test_inputs_are_left_alone() -> None:
    random = np.random.default_rng(0)
    ids, log_probs = random.integers(1, 5, 20), np.log(random.dirichlet(np.ones(5), 100))
    before = ids.copy(), log_probs.copy()
    best_path(log_probs, ids, BLANK)
    assert (ids == before[0]).all() and (log_probs == before[1]).all()


def test_nothing_to_say_is_refused() -> None:
    with pytest.raises(InputError, match="long enough for its text"):
        best_path(np.zeros((5, 3)), np.zeros(0, np.int64), BLANK)
