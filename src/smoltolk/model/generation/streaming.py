"""Streamers for ``generate()``: text as it is written and units as they are spoken, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Queue
from typing import Any

import numpy as np
from torch import Tensor
from transformers.generation.streamers import BaseStreamer

from smoltolk.common.errors import InputError
from smoltolk.model.generation.runs import content_of
from smoltolk.model.ids import IdSpace

_UNFINISHED = "\ufffd"  # what a tokenizer makes of half a character


@dataclass(frozen=True, slots=True)
class Piece:
    """A little more of a run.

    Attributes:
        text: of a written run, None if it is spoken.
        units: int64 [n], from 0, of a spoken run, None if it is written.
        ends: the run is complete with this piece, which then may hold nothing.
    """

    text: str | None = None
    units: np.ndarray | None = None
    ends: bool = False


class PieceStreamer(BaseStreamer):
    """Calls a function with each :class:`Piece` of the one row that is being generated; the prompt is left out.

    Of several codebooks only the first passes by here; ``generate(..., return_dict_in_generate=True)`` has the others.

    Args:
        tokenizer: of the text; anything with its ``decode``.
        space: the id space.
        receive: called with every piece, in order.
        units_at_once: units of a piece; the last one of a run may have fewer.
    """

    def __init__(self, tokenizer: Any, space: IdSpace, receive: Callable[[Piece], None], *, units_at_once: int = 1):
        if units_at_once < 1:
            raise InputError("a piece has a unit at least", f"{units_at_once}", "give 1 or more")
        self.tokenizer, self.space, self.receive, self.units_at_once = tokenizer, space, receive, units_at_once
        self._prompt_is_next = True
        self._run: list[int] = []
        self._is_speech = False
        self._given = 0  # of the run: units, or characters

    def put(self, value: Tensor) -> None:
        """Called by ``generate()`` with the prompt [1, T], then with each id [1]."""
        if value.ndim > 1 and value.shape[0] > 1:
            raise InputError("a streamer follows one row", f"a batch of {value.shape[0]}", "generate one row at a time")
        if self._prompt_is_next:
            self._prompt_is_next = False
            return
        for token_id in value.flatten().tolist():
            content, is_speech = content_of(token_id, self.space), self.space.is_speech(token_id)
            if content is None or is_speech != self._is_speech:
                self._finish()
            if content is not None:
                self._run.append(content)
                self._is_speech = is_speech
                self._give()

    def end(self) -> None:
        """Called by ``generate()`` when it is done."""
        self._finish()
        self._prompt_is_next = True

    def _give(self) -> None:
        if self._is_speech:
            if len(self._run) - self._given >= self.units_at_once:
                self._send_units(ends=False)
            return
        text = self._text()
        if len(text) > self._given and not text.endswith(_UNFINISHED):
            self.receive(Piece(text=text[self._given :]))
            self._given = len(text)

    def _finish(self) -> None:
        if not self._run:
            return
        if self._is_speech:
            self._send_units(ends=True)
        else:
            self.receive(Piece(text=self._text()[self._given :], ends=True))
        self._run, self._given = [], 0

    def _send_units(self, *, ends: bool) -> None:
        self.receive(Piece(units=np.array(self._run[self._given :], np.int64), ends=ends))
        self._given = len(self._run)

    def _text(self) -> str:
        return self.tokenizer.decode(self._run, skip_special_tokens=True, clean_up_tokenization_spaces=False)


class PieceIterator(PieceStreamer):
    """The same pieces as an iterator, for ``generate()`` in a thread of its own.

    Args:
        tokenizer, space, units_at_once: as for :class:`PieceStreamer`.
        timeout: seconds to wait for a piece before ``queue.Empty`` is raised; None: without end.
    """

    def __init__(self, tokenizer: Any, space: IdSpace, *, units_at_once: int = 1, timeout: float | None = None):
        self._pieces: Queue[Piece | None] = Queue()
        self.timeout = timeout
        super().__init__(tokenizer, space, self._pieces.put, units_at_once=units_at_once)

    def end(self) -> None:
        """Called by ``generate()`` when it is done."""
        super().end()
        self._pieces.put(None)

    def __iter__(self) -> Iterator[Piece]:
        while (piece := self._pieces.get(timeout=self.timeout)) is not None:
            yield piece
