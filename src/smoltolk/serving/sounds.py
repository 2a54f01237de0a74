"""Waveforms as the bodies of answers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache

import numpy as np
import soundfile

from smoltolk.common.errors import named
from smoltolk.speech.audio import resample

PCM_RATE = 24_000  # what clients of the OpenAI API expect of bytes without a header
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# Name -> media type, and how libsndfile calls format and codec.
FORMATS: Mapping[str, tuple[str, str, str]] = {
    "wav": ("audio/wav", "WAV", "PCM_16"),
    "pcm": ("audio/pcm", "", ""),
    "flac": ("audio/flac", "FLAC", "PCM_16"),
    "mp3": ("audio/mpeg", "MP3", "MPEG_LAYER_III"),
    "opus": ("audio/ogg", "OGG", "OPUS"),
}


def check_format(name: str) -> str:
    """A format that this machine's libsndfile writes.

    Raises:
        InputError: another one.
    """
    named("a format of speech", name, _written())
    return name


@cache
def _written() -> Mapping[str, tuple[str, str, str]]:
    """Formats that this machine's libsndfile writes; to ask it takes as long as a few steps of a model."""
    kinds = soundfile.available_formats()
    return {
        name: (media, form, codec)
        for name, (media, form, codec) in FORMATS.items()
        if not form or (form in kinds and codec in soundfile.available_subtypes(form))
    }


def encoded(waveform: np.ndarray, rate: int, form: str) -> bytes:
    """A waveform in a format of :data:`FORMATS`.

    Args:
        waveform: float32 [samples], full scale at 1.
        rate: its own.
        form: see :func:`check_format`.
    """
    wanted = sample_rate(rate, form)
    waveform = resample(waveform, rate, wanted)
    if form == "pcm":
        return as_pcm(waveform)
    held = io.BytesIO()
    soundfile.write(held, waveform, wanted, format=FORMATS[form][1], subtype=FORMATS[form][2])
    return held.getvalue()


def sample_rate(rate: int, form: str) -> int:
    """The rate that a sound of ``rate`` is written with: its own, where the format can."""
    if form == "pcm":
        return PCM_RATE
    rates = {"opus": _OPUS_RATES, "mp3": _MP3_RATES}.get(form)
    return rate if rates is None else next((one for one in rates if one >= rate), rates[-1])


def as_pcm(waveform: np.ndarray) -> bytes:
    """Samples as 16 bits each, little-endian."""
    return (np.clip(waveform, -1, 1) * 32767).round().astype("<i2").tobytes()


def endless_wav_header(rate: int) -> bytes:
    """The head of a mono wav of 16 bits whose length is not yet known; players read on to the end."""
    unknown = 0xFFFFFFFF
    head = io.BytesIO()
    head.write(b"RIFF" + unknown.to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little"))
    for value, size in ((1, 2), (1, 2), (rate, 4), (2 * rate, 4), (2, 2), (16, 2)):
        head.write(value.to_bytes(size, "little"))
    head.write(b"data" + unknown.to_bytes(4, "little"))
    return head.getvalue()
