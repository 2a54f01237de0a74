"""Sound of units while they come, as bytes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import soxr

from smoltolk.serving.engine import Engine, check_finite, faster
from smoltolk.serving.metrics import Metrics
from smoltolk.serving.sounds import as_pcm, encoded, endless_wav_header, sample_rate
from smoltolk.speech.vocoders.streaming import SoundStream

STREAMS = ("wav", "pcm")  # formats that can be written while they are made; others are written whole at the end


class StreamedSound:
    """Says units as they come; in a format that is written whole, at their end, which takes less.

    Args:
        engine: whose vocoder speaks.
        metrics: that are told.
        form: one of :data:`~smoltolk.serving.sounds.FORMATS`.
        voice, seed, speed: as for :meth:`Engine.speak`.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, form: str, voice: str | int | None, seed: int, speed: float = 1.0
    ):  # fmt: skip
        self._engine, self._metrics, self._form = engine, metrics, form
        self._voice, self._seed, self._speed = voice, seed, speed
        self._rate = engine.vocoder.sample_rate
        self._stream = SoundStream(_Paced(engine.vocoder, speed), seed=seed, speaker=voice)
        wanted = sample_rate(self._rate, form)
        self._resampler = soxr.ResampleStream(self._rate, wanted, 1, "float32") if wanted != self._rate else None
        self._kept: list[np.ndarray] = []  # units that have not been given to what speaks
        self._begun: float | None = None
        self._sounded = False

    async def add(self, units: np.ndarray) -> bytes:
        """More units int64 [n] -> more bytes; often none.

        Raises:
            InputError: the vocoder makes no sound of them.
            BusyError: too many wait.
        """
        if not len(units):
            return b""
        if self._begun is None:
            self._begun = time.perf_counter()
        self._kept.append(units)
        if self._form not in STREAMS or sum(map(len, self._kept)) < self._stream.missing:
            return b""  # without a way to another thread, which takes longer than the model's step
        return await self._engine.pool.run(lambda: self._written(self._stream.add(self._taken()), last=False))

    async def finish(self) -> bytes:
        """The rest; errors as of :meth:`add`."""
        if self._form not in STREAMS:
            waveform = await self._engine.speak(self._taken(), self._voice, self._seed, self._speed)
            self._metrics.spoken.inc(len(waveform) / self._rate)
            return await self._engine.pool.run(encoded, waveform, self._rate, self._form)
        return await self._engine.pool.run(self._rest)

    def _rest(self) -> bytes:
        said = self._stream.add(self._taken())
        return self._written(np.concatenate([said, self._stream.finish()]), last=True)

    def _taken(self) -> np.ndarray:
        kept, self._kept = self._kept, []
        return np.concatenate([np.zeros(0, np.int64), *kept])

    def _written(self, waveform: np.ndarray, *, last: bool) -> bytes:
        check_finite(waveform)
        self._metrics.spoken.inc(len(waveform) / self._rate)
        if self._resampler is not None:
            waveform = self._resampler.resample_chunk(waveform, last=last)
        made = as_pcm(waveform)
        if made and not self._sounded:
            self._sounded = True
            if self._begun is not None:
                self._metrics.first_sound.observe(time.perf_counter() - self._begun)
            if self._form == "wav":
                made = endless_wav_header(self._rate) + made
        return made


class _Paced:
    """A vocoder that speaks at another speed."""

    def __init__(self, vocoder: Any, speed: float):
        self._vocoder, self._speed = vocoder, speed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vocoder, name)

    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        """Frames of each unit, int64 [n]."""
        durations = self._vocoder.predict_durations(units)
        return durations if self._speed == 1 else faster(durations, self._speed)
