"""A microphone and a loudspeaker, where there are any: the package ``sounddevice`` of the extra ``microphone``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError, first_line, require


class Devices:
    """Records and plays.

    Raises:
        MissingExtraError: ``smoltolk[microphone]`` is not installed.
        NotFoundError: no PortAudio, or no device at all.
    """

    def __init__(self) -> None:
        self._sound = _portaudio()
        try:
            found = list(self._sound.query_devices())
        except self._sound.PortAudioError as error:
            raise _none(first_line(error)) from error
        self.records = any(one["max_input_channels"] > 0 for one in found)
        self.plays = any(one["max_output_channels"] > 0 for one in found)
        if not (self.records or self.plays):
            raise _none("no device")

    def record(self, rate: int, until: Any) -> np.ndarray:
        """float32 [samples] at ``rate`` from now until a call of ``until`` returns.

        Raises:
            NotFoundError: no microphone.
            InputError: nothing was recorded.
        """
        if not self.records:
            raise _none("no microphone")
        blocks: list[np.ndarray] = []
        try:
            with self._sound.InputStream(
                samplerate=rate, channels=1, dtype="float32", callback=lambda data, *_: blocks.append(data[:, 0].copy())
            ):
                until()
        except self._sound.PortAudioError as error:
            raise _none(first_line(error)) from error
        if not blocks:
            raise InputError("a recording has samples", "none came from the microphone", "speak before Enter")
        return np.concatenate(blocks)

    def play(self, waveform: np.ndarray, rate: int) -> None:
        """Play to the end, where there is a loudspeaker.

        Raises:
            NotFoundError: it does not play.
        """
        if not self.plays:
            return
        try:
            self._sound.play(waveform, rate, blocking=True)
        except self._sound.PortAudioError as error:
            raise _none(first_line(error)) from error


def _portaudio() -> ModuleType:
    try:
        return require("sounddevice", "a microphone")
    except OSError as error:  # the package without the library that it wraps
        if isinstance(error, NotFoundError):
            raise
        raise _none(first_line(error)) from error


def _none(found: str) -> NotFoundError:
    return NotFoundError(
        "recording and playing need PortAudio and a sound device",
        found,
        "install PortAudio (Debian: libportaudio2), or type texts and name files",
    )
