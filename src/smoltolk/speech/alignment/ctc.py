"""The trellis of connectionist temporal classification: on which frames a known sequence of ids is said.

Between two ids lie any number of blanks; equal neighbours need one at least (Graves et al. 2006, section 3.1). The best
path is exact, for recordings of an hour too: only every so many frames are kept, and the way back computes the frames
between them again, in the narrow band that it can come from.
"""

from __future__ import annotations

import math

import numpy as np

from smoltolk.common.errors import InputError


def best_path(log_probs: np.ndarray, ids: np.ndarray, blank: int) -> np.ndarray:
    """The most likely way to say ids in this order, once each.

    Args:
        log_probs: logarithms of the posteriors, float [frames, vocabulary].
        ids: what is said, int [ids], none of them ``blank``.
        blank: the id that says nothing.

    Returns:
        int [frames]: the place in ``ids`` that each frame says, -1 for blank. Every place has one run of frames.

    Raises:
        InputError: no ids, or fewer frames than the ids need.
    """
    num_frames, num_ids = len(log_probs), len(ids)
    repeats = int((ids[1:] == ids[:-1]).sum()) if num_ids else 0
    if not 0 < num_ids + repeats <= num_frames:
        raise InputError(
            "a recording must be long enough for its text",
            f"{num_frames} frames for {num_ids} letters or pieces of words",
            "check that the two belong together",
        )
    # The way back needs a band as wide as a stretch is long: long stretches cost time, short ones memory.
    stretch = max(32, 4 * math.isqrt(num_frames))
    kept = _forward(log_probs, ids, blank, stretch)
    return _backward(log_probs, ids, blank, stretch, kept)


class _Scores:
    """Scores of all states, moved on frame by frame in place.

    Attributes:
        said: [1 + ids]: of being on an id; the first is no id, so that every id has one before it.
        blanks: [ids + 1]: of being on the blank before an id, and on the one behind the last.
    """

    def __init__(self, ids: np.ndarray, blank: int, said: np.ndarray, blanks: np.ndarray):
        self.said, self.blanks = said.copy(), blanks.copy()
        self._ids, self._blank = ids, blank
        self._no_skip = np.zeros(len(ids))  # equal neighbours have no way without a blank
        self._no_skip[1:][ids[1:] == ids[:-1]] = -np.inf
        self._from_id, self._best, self._frame = (np.empty(len(ids)) for _ in range(3))

    def move(self, frame: np.ndarray, choices: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """Go one frame on.

        Args:
            frame: log posteriors, float64 [vocabulary].
            choices: filled, if given, with where the best way came from. For ids: 0 the id itself, 1 the blank before
                it, 2 the id before it; for blanks (one more than ids): 0 the blank itself, 1 the id before it.
        """
        said, blanks = self.said[1:], self.blanks
        np.add(self.said[:-1], self._no_skip, out=self._from_id)
        np.maximum(said, blanks[:-1], out=self._best)
        if choices is not None:
            choices[0][:] = np.where(self._from_id > self._best, 2, blanks[:-1] > said)
            choices[1][0], choices[1][1:] = 0, said > blanks[1:]
        np.maximum(blanks[1:], said, out=blanks[1:])
        blanks += frame[self._blank]
        np.maximum(self._best, self._from_id, out=self._best)
        np.take(frame, self._ids, out=self._frame, mode="clip")
        np.add(self._best, self._frame, out=said)


def _forward(log_probs: np.ndarray, ids: np.ndarray, blank: int, stretch: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores before frames 0, stretch, 2 * stretch, ..., and after the last."""
    said, blanks = np.full(len(ids) + 1, -np.inf), np.full(len(ids) + 1, -np.inf)
    blanks[0] = 0.0  # before the first frame: nothing said yet
    scores = _Scores(ids, blank, said, blanks)
    kept = []
    for first in range(0, len(log_probs), stretch):
        kept.append((scores.said.copy(), scores.blanks.copy()))
        for frame in log_probs[first : first + stretch].astype(np.float64):
            scores.move(frame)
    return [*kept, (scores.said, scores.blanks)]


def _backward(
    log_probs: np.ndarray, ids: np.ndarray, blank: int, stretch: int, kept: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    path = np.empty(len(log_probs), np.int64)
    said, blanks = kept[-1]
    on_blank = bool(blanks[-1] > said[-1])
    place = len(ids) if on_blank else len(ids) - 1
    for number in reversed(range(len(kept) - 1)):
        frames = log_probs[number * stretch : (number + 1) * stretch].astype(np.float64)
        # At most one id a frame: nothing from before this place can be on the way.
        low, high = max(0, place - len(frames)), min(place + 1, len(ids))
        said, blanks = (one[low : high + 1] for one in kept[number])
        scores = _Scores(ids[low:high], blank, said, blanks)
        from_said = np.empty((len(frames), high - low), np.int8)
        from_blank = np.empty((len(frames), high - low + 1), np.int8)
        for at, frame in enumerate(frames):
            scores.move(frame, (from_said[at], from_blank[at]))
        for at in reversed(range(len(frames))):
            path[number * stretch + at] = -1 if on_blank else place
            choice = int((from_blank if on_blank else from_said)[at, place - low])
            if on_blank:
                on_blank, place = not choice, place - choice
            else:
                on_blank, place = choice == 1, place - (choice == 2)
    return path
