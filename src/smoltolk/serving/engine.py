"""What a served model does for requests: it hears, goes on, and speaks, each in its place.

The model lives in its worker's thread. Recordings and sounds are worked on in a few threads of their own, so that the
event loop never waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.inference.running.rows import Ask, BusyError, Made, Row
from smoltolk.inference.running.worker import Worker
from smoltolk.inference.speakers import speak, voices_of
from smoltolk.serving.errors import RefusedError
from smoltolk.serving.limits import Limits
from smoltolk.speech.audio import load_bytes
from smoltolk.speech.vocoders.vocoder import Vocoder

_Result = TypeVar("_Result")
_MOST_FRAMES = 100  # of a unit, as vocoders predict them


class SoundPool:
    """Threads for recordings and sounds, with a bounded queue before them.

    Args:
        threads: how many.
        queue: that wait, at most.
    """

    def __init__(self, threads: int, queue: int):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sound")
        self._most, self._held = threads + queue, 0

    async def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """The function's result.

        Raises:
            BusyError: too many wait.
        """
        if self._held >= self._most:
            raise BusyError(f"{self._most} sounds are worked on at most", f"{self._held}", "ask again later")
        self._held += 1
        future = self._pool.submit(function, *arguments)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _: Any) -> None:
        self._held -= 1

    def close(self) -> None:
        """Finish what was begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Engine:
    """One served model.

    Args:
        name: that requests name it by.
        talker: a SpeechText, whose model belongs to the engine from now on.
        limits: of the server.
        pool: for recordings and sounds.
        languages: that it was made for, ISO 639-1, the usual one first.
    """

    def __init__(
        self, name: str, talker: Any, limits: Limits, pool: SoundPool, languages: Sequence[str] = ("en",)
    ):  # fmt: skip
        self.name, self.limits, self.pool = name, limits, pool
        self.languages = tuple(languages) or ("en",)
        self.tokenizer, self.space, self.settings = talker.tokenizer, talker.space, talker.settings
        self.processor = talker.processor
        self.units, self.vocoder, self.config = talker.units, talker.vocoder, talker.model.config
        self.worker = Worker(talker.model, slots=limits.slots, queue=limits.queue)
        self.created = int(time.time())

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of its voices, the first its own; without names their numbers, and of a single one ``default``."""
        if self.vocoder is None:
            return ()
        numbers = range(self.vocoder.num_speakers if isinstance(self.vocoder, Vocoder) else 1)
        return voices_of(self.vocoder) or (tuple(map(str, numbers)) if len(numbers) > 1 else ("default",))

    def voice(self, name: str | None) -> str | int | None:
        """What the vocoder knows a voice by; None: its first, which also goes by ``default``.

        Raises:
            InputError: it cannot speak, or not with this voice.
        """
        if self.vocoder is None:
            raise InputError("speaking needs a vocoder", f"{self.name} has none", "ask for text")
        if name is None or (name == "default" and "default" not in voices_of(self.vocoder)):
            return None
        if name not in self.voices:
            shown = ", ".join(self.voices[:20]) + (", ..." if len(self.voices) > 20 else "")
            raise InputError(f"the voices of {self.name} are {shown}", repr(name[:100]), "name one of them")
        return name if voices_of(self.vocoder) else int(name)

    async def hear(self, data: bytes, seconds: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Units of a recording, int64 [n], and its waveform at the rate of the units.

        Args:
            data: as the client sent it.
            seconds: that it may last.

        Raises:
            InputError: it is no recording, too long, or this model cannot hear.
            BusyError: too many wait.
        """
        if self.units is None:
            raise InputError("hearing needs the units of the model", f"{self.name} has none", "send text")
        longest = self.limits.audio_seconds if seconds is None else seconds
        return await self.pool.run(self._hear, data, longest)

    def _hear(self, data: bytes, longest: float) -> tuple[np.ndarray, np.ndarray]:
        waveform = load_bytes(data, self.units.sample_rate, longest=longest)
        units = self.units.encode([waveform])[0].units
        if len(units) == 0:
            raise InputError("a recording has a unit at least", f"{len(waveform)} samples", "give a longer one")
        return units, waveform

    async def speak(self, units: np.ndarray, voice: str | int | None, seed: int, speed: float = 1.0) -> np.ndarray:
        """Sound of units, float32 [samples] at the vocoder's rate.

        Raises:
            InputError: the vocoder makes no sound of them.
            BusyError: too many wait.
        """
        return await self.pool.run(self._speak, units, voice, seed, speed)

    def _speak(self, units: np.ndarray, voice: str | int | None, seed: int, speed: float) -> np.ndarray:
        durations = None
        units = units[np.concatenate([[True], units[1:] != units[:-1]])]  # vocoders speak no unit twice in a row
        if speed != 1.0:
            durations = faster(self.vocoder.predict_durations(units), speed)
        waveform = speak(units, self.vocoder, seed=seed, voice=voice, durations=durations)
        check_finite(waveform)
        return waveform

    def start(self, ask: Ask) -> Continuation:
        """Continue a prompt; whoever starts it closes it.

        Raises:
            InputError: the prompt does not fit the model.
            BusyError: too many wait.
            RefusedError: it is about to stop, or has failed for good.
        """
        if not self.worker.alive:
            raise _stopping()
        return Continuation(self.worker, ask)

    def room(self, prompt: np.ndarray, most: int) -> int:
        """How many ids may come behind a prompt, ``most`` of them at most.

        Raises:
            InputError: none.
        """
        longest = self.config.max_position_embeddings
        room = most if longest is None else min(most, longest - len(prompt))
        if room < 1:
            raise InputError(
                "a prompt must leave the model room to answer",
                f"{len(prompt):,} ids, the model holds {longest:,}",
                "give a shorter recording or text",
            )
        return room


class Continuation:
    """What a row makes, as it comes. Leaving it, by whatever way, frees its slot.

    Args:
        worker: of the model.
        ask: what is asked.
    """

    def __init__(self, worker: Worker, ask: Ask):
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Queue[Made]()
        self.ask = ask
        self.row: Row = worker.submit(ask, self._receive)

    def _receive(self, made: Made) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._told.put_nowait, made)

    def close(self) -> None:
        """Nobody waits for it any more."""
        self.row.cancel()

    async def __aiter__(self) -> AsyncIterator[Made]:
        """What was made since the last time; the last one has an ending.

        Raises:
            RefusedError: it was cancelled by the server.
            RuntimeError: the model failed.
        """
        try:
            ending = None
            while ending is None:
                made = await self._told.get()
                while made.ending is None and not self._told.empty():  # who reads slowly reads more at once
                    made = joined(made, self._told.get_nowait())
                ending = made.ending
                if made.error is not None:
                    raise made.error
                if ending == "cancelled":
                    raise _stopping()
                yield made
        finally:
            self.close()

    async def whole(self) -> Made:
        """All of it, with its ending."""
        whole = Made([])
        async for made in self:
            whole = joined(whole, made)
        return whole


def _stopping() -> RefusedError:
    return RefusedError(503, "the server is about to stop", "stopping")


def joined(first: Made, then: Made) -> Made:
    """Both as one."""
    return Made(
        first.ids + then.ids,
        first.logprobs + then.logprobs,
        first.prompt_logprobs + then.prompt_logprobs,
        then.ending,
        then.error,
    )


def faster(durations: np.ndarray, speed: float) -> np.ndarray:
    """Frames of each unit at another speed, 1 to 100; rounding errors are carried on."""
    ends = np.floor(np.cumsum(np.clip(durations / speed, 1.0, _MOST_FRAMES)) + 0.5).astype(np.int64)
    return np.diff(ends, prepend=0)


def check_finite(waveform: np.ndarray) -> None:
    """Refuse what no player could play.

    Raises:
        InputError: samples that are not finite.
    """
    if not np.isfinite(waveform).all():
        raise InputError("a vocoder makes finite samples", "of these units it does not", "try another text or speed")
