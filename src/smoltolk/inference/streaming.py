"""An answer while it is made: the model runs in a thread of its own, and its pieces become text or sound at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np

from smoltolk.inference.answers import StreamPiece
from smoltolk.inference.generation import Generation
from smoltolk.model.generation.streaming import PieceIterator
from smoltolk.model.ids import IdSpace
from smoltolk.speech.vocoders.streaming import LOOK_AHEAD, SoundStream, Speaking

_FADE_SECONDS = 0.01  # of sound that is cut off
# Runs a model with a streamer, and stops it when it is told that what has been made is enough.
Run = Callable[[PieceIterator, Callable[[], bool]], Generation]


@dataclass(frozen=True, slots=True)
class Voice:
    """What an answer is spoken with.

    Attributes:
        speaker: a vocoder, or a codec.
        name: name or number of one of its voices; None: its first.
        seed: of what is random in it.
        max_seconds: of the sound; None: no limit.
    """

    speaker: Speaking
    name: str | int | None = None
    seed: int = 0
    max_seconds: float | None = None


def stream_answer(
    run: Run,
    tokenizer: Any,
    space: IdSpace,
    voice: Voice | None,
    *,
    begin: float,
    look_ahead: int = LOOK_AHEAD,
) -> Iterator[StreamPiece]:
    """Pieces of an answer as they come, the last of them marked; who stops listening stops the model.

    Args:
        run: of the model.
        tokenizer, space: of its text, of its ids.
        voice: None where it writes.
        begin: of the request, by ``time.perf_counter``.
        look_ahead: as of :class:`~smoltolk.speech.vocoders.streaming.SoundStream`.
    """
    enough, streamer = Event(), PieceIterator(tokenizer, space)
    made = Writing(begin) if voice is None else Sounding(voice, begin, look_ahead)
    with ThreadPoolExecutor(1, thread_name_prefix="answer") as pool:
        future = pool.submit(run, streamer, enough.is_set)
        future.add_done_callback(lambda _: streamer.close())  # also where it failed
        try:
            for piece in streamer:
                yield from made.add(piece.text, piece.units)
                if made.is_long:
                    break
            enough.set()
            yield made.finish(future.result().ended)
        finally:
            enough.set()


class Writing:
    """Text as it comes, without the spaces at its ends.

    Args:
        begin: of the request.
    """

    is_long = False

    def __init__(self, begin: float):
        self._begin, self._held, self._started = begin, "", False

    def add(self, text: str | None, units: np.ndarray | None) -> Iterator[StreamPiece]:
        """Pieces of more text; spaces wait for what stands behind them."""
        self._held += text or ""
        if not self._started:
            self._held = self._held.lstrip()
        given = self._held.rstrip()
        if given:
            self._started, self._held = True, self._held[len(given) :]
            yield StreamPiece(text=given, seconds=time.perf_counter() - self._begin)

    def finish(self, ended: bool) -> StreamPiece:
        """The last piece."""
        return StreamPiece(text="", seconds=time.perf_counter() - self._begin, ends=True, ended=ended)


class Sounding:
    """Sound as units come, no two neighbours equal.

    Args:
        voice: what speaks.
        begin: of the request.
        look_ahead: units behind what is spoken.

    Attributes:
        is_long: whether the sound has reached its limit.
    """

    def __init__(self, voice: Voice, begin: float, look_ahead: int = LOOK_AHEAD):
        self._sound = SoundStream(voice.speaker, look_ahead=look_ahead, seed=voice.seed, speaker=voice.name)
        self._rate, self._begin = voice.speaker.sample_rate, begin
        self._last: int | None = None
        self._left = None if voice.max_seconds is None else round(voice.max_seconds * self._rate)
        self.is_long = False

    def add(self, text: str | None, units: np.ndarray | None) -> Iterator[StreamPiece]:
        """A piece for more units; its sound may still be waiting for others."""
        if units is None or self.is_long:
            return
        if units.ndim == 1:
            before = units[:1] - 1 if self._last is None else np.array([self._last])
            units = units[np.diff(units, prepend=before) != 0]
        if len(units):
            self._last = int(units[-1]) if units.ndim == 1 else None
            yield self._piece(units, self._sound.add(units))

    def finish(self, ended: bool) -> StreamPiece:
        """The last piece, with the sound that was waiting."""
        left = np.zeros(0, np.float32) if self.is_long else self._sound.finish()
        return self._piece(None, left, ends=True, ended=ended)

    def _piece(
        self, units: np.ndarray | None, waveform: np.ndarray, *, ends: bool = False, ended: bool = False
    ) -> StreamPiece:
        if self._left is not None and len(waveform) > self._left:
            waveform, self.is_long = waveform[: self._left].copy(), True
            fade = min(len(waveform), round(_FADE_SECONDS * self._rate))
            waveform[len(waveform) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        if self._left is not None:
            self._left -= len(waveform)
        return StreamPiece(
            units=np.zeros(0, np.int64) if units is None else units,
            waveform=waveform,
            rate=self._rate,
            seconds=time.perf_counter() - self._begin,
            ends=ends,
            ended=ended and not self.is_long,
        )
