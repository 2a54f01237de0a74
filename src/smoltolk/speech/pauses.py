"""Where a recording is quiet."""

from __future__ import annotations

import numpy as np

from smoltolk.speech.audio import SAMPLE_RATE

LEVEL_RATE = 100  # levels per second
# Against the loud parts; above the floor of the room.
_QUIET_DECIBELS, _ABOVE_FLOOR_DECIBELS, _SOFT_SPEECH_DECIBELS, _LOUD_DECIBELS = -40.0, 6.0, -30.0, -15.0
_FADING_DECIBELS = -25.0


def quiet_frames(waveform: np.ndarray) -> np.ndarray:
    """Which stretches of 10 ms hold no speech by their level alone: bool [frames].

    Args:
        waveform: float [samples], 16 kHz.
    """
    level, floor, loud = _levels(waveform)
    # In a noisy room the floor is higher; but what could be soft speech is never called quiet.
    return level < loud + max(_QUIET_DECIBELS, min(floor - loud + _ABOVE_FLOOR_DECIBELS, _SOFT_SPEECH_DECIBELS))


def loud_frames(waveform: np.ndarray) -> np.ndarray:
    """Which stretches of 10 ms are speech by their level alone: bool [frames]; about half of them, vowels first.

    Args:
        waveform: float [samples], 16 kHz.
    """
    level, floor, loud = _levels(waveform)
    return level > max(loud + _LOUD_DECIBELS, floor + _ABOVE_FLOOR_DECIBELS)


def sounding_frames(waveform: np.ndarray) -> np.ndarray:
    """Which stretches of 10 ms are speech or fade away from it: bool [frames]; more than the loud ones.

    Args:
        waveform: float [samples], 16 kHz.
    """
    level, floor, loud = _levels(waveform)
    return level > max(loud + _FADING_DECIBELS, floor + _ABOVE_FLOOR_DECIBELS)


def _levels(waveform: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Decibels of each frame, of the room and of loud speech."""
    size = SAMPLE_RATE // LEVEL_RATE
    frames = waveform[: len(waveform) // size * size].reshape(-1, size)
    squares = np.einsum("ij,ij->i", frames, frames, dtype=np.float64)  # hours of it are not copied
    level = 10 * np.log10(squares / size + 1e-12)
    floor, loud = np.quantile(level, [0.05, 0.95]) if len(level) else (0.0, 0.0)
    return level, float(floor), float(loud)
