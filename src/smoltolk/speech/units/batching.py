"""Which stretches of recordings pass an encoder, and which of them together.

Two rules keep a recording's units its own. *Windows* depend on the recording's length alone. And whatever a window is
computed with changes none of its numbers: on a CPU every window is computed by itself, on one thread, and windows
share out the processors; on other devices windows are padded to one of few lengths, again decided by their own length
alone, and go through in batches of a fixed number of rows. Matrix products choose their order of summation by shape:
with equal shapes a row comes out the same whatever the other rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch

from smoltolk.speech.small_networks import one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")

ROWS = 4  # of a batch; where fewer windows are left, blank ones fill it
_RUNGS = (1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)  # lengths that windows are padded to, of the longest


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """A stretch of a recording, in frames: computed from ``first`` to ``last``, kept from ``start`` to ``stop``."""

    first: int
    last: int
    start: int
    stop: int

    @property
    def kept(self) -> slice:
        """What is kept, counted from ``first``."""
        return slice(self.start - self.first, self.stop - self.first)


def plan_windows(num_frames: int, window: int, overlap: int) -> list[FrameWindow]:
    """Windows over one recording.

    A recording of at most ``window`` frames is one. A longer one has windows of exactly this length, each sharing
    ``overlap`` frames with the one before; the last ends with the recording and may share more. Where two overlap,
    each keeps its half.

    Args:
        num_frames: of the recording.
        window: frames, more than ``overlap``.
        overlap: frames.
    """
    if num_frames <= window:
        return [FrameWindow(0, num_frames, 0, num_frames)]
    hop = window - overlap
    firsts = [min(k * hop, num_frames - window) for k in range(-(-(num_frames - overlap) // hop))]
    between = [(after + before + window) // 2 for before, after in pairwise(firsts)]
    borders = [0, *between, num_frames]
    return [
        FrameWindow(first, first + window, start, stop)
        for first, (start, stop) in zip(firsts, pairwise(borders), strict=True)
    ]


def rung_of(num_frames: int, longest: int) -> int:
    """The length, in frames, that a window of ``num_frames`` is padded to.

    It is always longer than the window: attention over rows without any padding is computed by another kernel.

    Args:
        num_frames: at most ``longest``.
        longest: of all windows.
    """
    return next(rung for rung in (int(longest * part) + 1 for part in _RUNGS) if rung > num_frames)


def batches(lengths: Sequence[int], longest: int) -> Iterator[tuple[int, list[int]]]:
    """Windows that are computed together, as (frames of a row, indices of at most :data:`ROWS` windows).

    Args:
        lengths: of the windows, in frames.
        longest: that a window can be.
    """
    by_rung: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_rung.setdefault(rung_of(length, longest), []).append(index)
    for rung, indices in sorted(by_rung.items()):
        for start in range(0, len(indices), ROWS):
            yield rung, indices[start : start + ROWS]


def on_threads(function: Callable[[Item], Result], items: Sequence[Item], costs: Sequence[float]) -> list[Result]:
    """``function`` of each item, in order, with the processors shared out among the items.

    As many threads work as torch may use, each item on one of them: so no result depends on the number of threads, and
    none waits for the slowest part of every single operation.

    Args:
        function: run under ``torch.inference_mode``.
        items: what it takes.
        costs: of each item in any measure; the dearest begin, so that no thread is left with one at the end.
    """
    workers = min(torch.get_num_threads(), len(items))

    def run(index: int) -> Result:
        with torch.inference_mode():  # a thread's own setting
            return function(items[index])

    with one_thread():
        if workers <= 1:
            return [run(index) for index in range(len(items))]
        order = sorted(range(len(items)), key=lambda index: -costs[index])
        with ThreadPoolExecutor(workers) as pool:
            results = dict(zip(order, pool.map(run, order), strict=True))
    return [results[index] for index in range(len(items))]
