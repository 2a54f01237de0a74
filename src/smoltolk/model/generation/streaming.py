"""Streamers for ``generate()``: text as it is written and units as they are spoken, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Queue
from typing import Any

import numpy as np
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.model.codec.code_stream import CodeListener
from smoltolk.model.codec.frame_reader import FrameReader
from smoltolk.model.generation.runs import content_of
from smoltolk.model.ids import IdSpace

_UNFINISHED = "\ufffd"  # what a tokenizer makes of half a character


@dataclass(frozen=True, slots=True)
class Piece:
    """A little more of a run.

    Attributes:
        text: of a written run, None if it is spoken.
        units: int64 [n], from 0, of a spoken run, of several codebooks frames [n, Q]; None if it is written.
        ends: the run is complete with this piece, which then may hold nothing.
    """

    text: str | None = None
    units: np.ndarray | None = None
    ends: bool = False


class PieceStreamer(CodeListener):
    """Calls a function with each :class:`Piece` of the one row that is being generated; the prompt is left out.

    A frame of several codebooks is given when the last of them has spoken. Of a run that is cut off the last frames,
    which not all have spoken, are left out.

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
        self._frames: FrameReader | None = None
        self._run: list[Any] = []  # text ids, units, or frames
        self._is_speech = False
        self._given = 0  # of the run: units, or characters

    def put(self, value: Tensor) -> None:
        """Called by ``generate()`` with the prompt [1, T], then with each id [1]."""
        if value.ndim > 1 and value.shape[0] > 1:
            raise InputError("a streamer follows one row", f"a batch of {value.shape[0]}", "generate one row at a time")
        if self._prompt_is_next:
            self._prompt_is_next = False
            self._frames = self._frame_reader(value.flatten())
            return
        for token_id in value.flatten().tolist():
            content: Any = content_of(token_id, self.space)
            is_speech, goes_on = self.space.is_speech(token_id), content is not None
            if self._frames is not None:
                frame = self._frames.add(token_id)
                if is_speech:  # it goes on also where only the later codebooks speak
                    content, goes_on = frame, self._frames.is_open
            if not goes_on or is_speech != self._is_speech:
                self._finish()
            if goes_on:
                self._is_speech = is_speech
            if content is not None:
                self._run.append(content)
                self._give()

    def _frame_reader(self, prompt: Tensor) -> FrameReader | None:
        if self.space.num_codebooks == 1:
            return None
        if self.code_stream is None:
            raise InputError(
                "the codes of several codebooks come from generate()",
                "ids alone",
                "give the streamer to it: model.generate(..., streamer=streamer)",
            )
        return FrameReader(self.space, self.code_stream, prompt)

    def end(self) -> None:
        """Called by ``generate()`` when it is done."""
        self._finish()
        self._prompt_is_next, self.code_stream = True, None

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
        shape = (-1, self.space.num_codebooks) if self._frames is not None else (-1,)
        self.receive(Piece(units=np.array(self._run[self._given :], np.int64).reshape(shape), ends=ends))
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
        self.close()

    def close(self) -> None:
        """No more pieces will come; for whoever runs ``generate()``, where it may have failed."""
        self._pieces.put(None)

    def __iter__(self) -> Iterator[Piece]:
        while (piece := self._pieces.get(timeout=self.timeout)) is not None:
            yield piece
