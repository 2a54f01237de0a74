"""What a row writes and says, taken apart as it comes: text up to a stop, and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smoltolk.inference.running.rows import Made
from smoltolk.model.generation.runs import split_runs
from smoltolk.model.generation.streaming import Piece, PieceStreamer
from smoltolk.model.ids import IdSpace
from smoltolk.serving.engine import Continuation, joined


class Writing:
    """Ids into text and units, piece by piece.

    Args:
        tokenizer, space: of the model.
        prompt: int64 [n], what the ids come behind.
        stops: texts before which it ends; they are not part of it.

    Attributes:
        text: so far.
        units: so far.
        stopped: a stop was found: what comes later counts no more.
    """

    def __init__(self, tokenizer: Any, space: IdSpace, prompt: np.ndarray, stops: Sequence[str] = ()):
        self._tokenizer, self._space = tokenizer, space
        self._pieces: list[Piece] = []
        self._streamer = PieceStreamer(tokenizer, space, self._pieces.append)
        self._streamer.put(torch.from_numpy(prompt)[None])
        self._stops = [stop for stop in stops if stop]
        self._held_back = ""
        self.text, self.units = "", np.zeros(0, np.int64)
        self.stopped = False

    def add(self, ids: Sequence[int]) -> tuple[str, np.ndarray]:
        """More text and more units; text that may be the beginning of a stop is held back."""
        if ids and not self.stopped:
            self._streamer.put(torch.tensor(ids))
        return self._taken(last=False)

    def whole(self, ids: Sequence[int]) -> None:
        """All ids at once, where no stop is looked for: piece by piece every piece would be written anew."""
        runs = split_runs(ids, self._space)
        self.text = "".join(_text(self._tokenizer, run.ids) for run in runs if not run.is_speech)
        said = [run.ids for run in runs if run.is_speech]
        self.units = np.array([unit for run in said for unit in run], np.int64)

    async def follow(self, row: Continuation) -> Made:
        """A row to its end, or to a stop.

        Returns:
            All that it made; of one that was stopped, up to there.

        Raises:
            BusyError, RuntimeError: as reading the row does.
        """
        if not self._stops:
            made = await row.whole()
            self.whole(made.ids)
            return made
        made = Made([])
        async for more in row:
            made = joined(made, more)
            self.add(more.ids)
            if self.stopped:
                row.close()
                break
        self.end()
        return made

    def end(self) -> tuple[str, np.ndarray]:
        """What is left."""
        if not self.stopped:
            self._streamer.end()
        return self._taken(last=True)

    def _taken(self, *, last: bool) -> tuple[str, np.ndarray]:
        pieces = self._pieces[:]
        self._pieces.clear()
        said = [piece.units for piece in pieces if piece.units is not None]
        units = np.concatenate(said) if said else np.zeros(0, np.int64)
        text = "" if self.stopped else self._until_stop("".join(piece.text or "" for piece in pieces), last)
        self.text += text
        self.units = np.concatenate([self.units, units])
        return text, units

    def _until_stop(self, more: str, last: bool) -> str:
        text = self._held_back + more
        places = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        if places:
            self.stopped, self._held_back = True, ""
            return text[: min(places)]
        keep = 0 if last else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held_back = text[len(text) - keep :]
        return text[: len(text) - keep]


def _text(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _overlap(text: str, stop: str) -> int:
    """Length of the longest beginning of a stop that the text ends with."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
