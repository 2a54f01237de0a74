"""The delay pattern of several codebooks: frames of units to positions of ids, and back.

A frame of a neural codec has one unit a codebook, and later codebooks refine earlier ones. A model that says a whole
frame at one position would draw all of them without knowledge of each other. So codebook q speaks ``delays[q]``
positions behind the first (Copet et al. 2023, arXiv 2306.05284, section 2.2)::

    position      0    1    2    3    4
    codebook 0   a0   b0   c0    -    -        frames a, b, c; delays (0, 1, 2)
    codebook 1    -   a1   b1   c1    -
    codebook 2    -    -   a2   b2   c2

A run of n frames takes ``n + max(delays)`` positions. Where a codebook is silent stands :data:`SILENT`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smoltolk.common.errors import InputError

SILENT = -1  # no unit of this codebook at this position


def delayed(frames: np.ndarray, delays: Sequence[int]) -> np.ndarray:
    """Lay frames out over positions.

    Args:
        frames: integer ``[n, Q]``, a unit of each codebook a frame.
        delays: Q positions each codebook comes later.

    Returns:
        int64 ``[n + max(delays), Q]``; ``SILENT`` where a codebook does not speak. Without frames, ``[0, Q]``.

    Raises:
        InputError: not one column a codebook.
    """
    frames = np.asarray(frames, np.int64)
    if frames.ndim != 2 or frames.shape[1] != len(delays):
        raise InputError(
            "frames are a matrix [frames, codebooks]",
            f"shape {frames.shape} for {len(delays)} codebooks",
            "give the units of every codebook",
        )
    length = len(frames) + max(delays) if len(frames) else 0
    grid = np.full((length, len(delays)), SILENT, np.int64)
    for codebook, delay in enumerate(delays[: len(delays) if len(frames) else 0]):
        grid[delay : delay + len(frames), codebook] = frames[:, codebook]
    return grid


def undelayed(grid: np.ndarray, delays: Sequence[int]) -> np.ndarray:
    """Gather the frames of one run of positions; the inverse of :func:`delayed`.

    Args:
        grid: integer ``[positions, Q]`` from the first position of a run.
        delays: as they were laid out with.

    Returns:
        int64 ``[n, Q]``, as many frames as the first codebook speaks units. In a run that was cut short the last
        frames hold ``SILENT`` for the codebooks that had not spoken.
    """
    grid = np.asarray(grid, np.int64)
    num_frames = int((grid[:, 0] >= 0).sum())
    frames = np.full((num_frames, len(delays)), SILENT, np.int64)
    for codebook, delay in enumerate(delays):
        said = grid[delay : delay + num_frames, codebook]
        frames[: len(said), codebook] = said
    return frames
