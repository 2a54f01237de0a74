"""The forms in which a recording is given: a file, samples, or something that was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from smoltolk.common.errors import InputError
from smoltolk.inference.answers import Speech
from smoltolk.speech.audio import check_waveform, load, resample

# A path, float32 [samples] at the rate of the units, (samples, rate), or Speech.
Audio = Path | str | np.ndarray | torch.Tensor | tuple[np.ndarray, int] | Speech


def is_recording(value: object) -> bool:
    """Whether a segment of a prompt is a recording: no text (a path is a ``Path`` there), and no units."""
    if isinstance(value, tuple):
        return len(value) == 2 and isinstance(value[0], np.ndarray | torch.Tensor)
    if isinstance(value, torch.Tensor):
        return value.is_floating_point()
    return isinstance(value, Path | Speech) or (
        isinstance(value, np.ndarray) and bool(np.issubdtype(value.dtype, np.floating))
    )


def waveform_of(audio: Audio, rate: int) -> np.ndarray:
    """A recording as float32 ``[samples]``, mono.

    Args:
        audio: a path, samples at ``rate``, ``(samples, their rate)`` or :class:`Speech`; integer samples have full
            scale where their type ends.
        rate: that is wanted, Hz.

    Raises:
        NotFoundError: no such file.
        InputError: not audio, no samples, more than one channel, or no form of a recording at all.
    """
    if isinstance(audio, Path | str):
        return load(audio, rate)
    if isinstance(audio, Speech):
        return resample(audio.waveform, audio.rate, rate)
    samples, own = audio if isinstance(audio, tuple) and len(audio) == 2 else (audio, rate)
    if isinstance(samples, torch.Tensor):
        samples = samples.detach().cpu().numpy()
    if not isinstance(samples, np.ndarray) or not isinstance(own, int | np.integer) or own < 1:
        raise InputError(
            "a recording is a path, an array of samples, (samples, rate) or Speech",
            type(audio).__name__,
            "give one of them",
        )
    if np.issubdtype(samples.dtype, np.signedinteger):
        samples = samples / np.float32(-float(np.iinfo(samples.dtype).min))
    return resample(check_waveform(samples, "a recording"), int(own), rate)
