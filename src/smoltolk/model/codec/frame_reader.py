"""Frames of several codebooks as they become whole, one id after the other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from smoltolk.model.codec.code_stream import CodeStream
from smoltolk.model.codec.codebooks import find_runs
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IdSpace


class FrameReader:
    """Follows the one row that ``generate()`` makes, and says which frame each id completes.

    A frame is whole when the last codebook has spoken, ``max(delays)`` positions behind the first.

    Args:
        space: the id space.
        stream: of the codes of this call of ``generate()``.
        prompt: ids [T]; speech that it ends in goes on, but its frames are known and are not given again.
    """

    def __init__(self, space: IdSpace, stream: CodeStream, prompt: Tensor):
        self._space, self._stream, self._ids = space, stream, prompt[None]
        begun = int(find_runs(self._ids, space).place[0, -1]) + 1
        heard = stream.codes[0, len(prompt) - begun : len(prompt)].tolist()
        # What each codebook says at each position of the present run.
        self._grid = [
            [self._first(i), *codes] for i, codes in zip(prompt[len(prompt) - begun :].tolist(), heard, strict=True)
        ]
        self._known = sum(row[0] != SILENT for row in self._grid)

    @property
    def is_open(self) -> bool:
        """Whether the last id belongs to a run of frames."""
        return bool(self._grid)

    def add(self, token_id: int) -> np.ndarray | None:
        """Take the id that was just drawn; the frame int64 [Q], from 0, that is whole with it."""
        space = self._space
        self._ids = torch.cat([self._ids, self._ids.new_tensor([[token_id]])], dim=1)
        is_unit = space.speech_offset <= token_id < space.eos_speech
        if not is_unit and not (token_id == space.pad_speech and self._grid):
            self._grid, self._known = [], 0
            return None
        self._grid.append([self._first(token_id), *self._stream.codes_behind(self._ids)])
        number = len(self._grid) - 1 - space.tail
        if number < self._known or self._grid[number][0] == SILENT:
            return None
        return np.array([self._grid[number + delay][q] for q, delay in enumerate(space.delays)], np.int64)

    def _first(self, token_id: int) -> int:
        return SILENT if token_id == self._space.pad_speech else token_id - self._space.speech_offset
