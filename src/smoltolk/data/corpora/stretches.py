"""A stretch of an audio file, read without the rest of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.utterances import SLACK_SECONDS
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample


def load_stretch(
    path: Path, start: float, seconds: float, channels: Sequence[int] = (), sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Read a stretch of a file as mono.

    Args:
        path: any format that libsndfile reads.
        start, seconds: where it lies; its end may pass the file's by 0.05 s (rounding).
        channels: the ones to read, counted from 0; none: all. The mean of several is taken.
        sample_rate: the rate to resample to.

    Returns:
        float32 [samples].

    Raises:
        NotFoundError: no such file.
        InputError: not audio, cut off, a stretch or a channel that it does not have, or samples that are not finite.
    """
    if not path.is_file():
        raise NotFoundError("an audio file must exist", f"no file {path}", "check the path")
    try:
        with soundfile.SoundFile(path) as file:
            rate, length, num_channels = file.samplerate, file.frames / file.samplerate, file.channels
            if not (start >= 0 and seconds > 0 and start + seconds <= length + SLACK_SECONDS):
                raise InputError(
                    "a segment lies within its recording",
                    f"{start:g} to {start + seconds:g} s of {path.name}, which lasts {length:g} s",
                    "correct its times",
                )
            if any(not 0 <= channel < num_channels for channel in channels):
                found = f"channel {max(channels)} of {path.name}, which has {num_channels}"
                raise InputError("channels are counted from 0", found, "correct the channel")
            file.seek(min(num_samples(start, rate), file.frames))
            samples = file.read(num_samples(seconds, rate), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{path} must be audio that libsndfile reads", str(error), "convert it to wav or flac first"
        ) from error
    if len(samples) < num_samples(max(0.0, seconds - SLACK_SECONDS), rate):
        found = f"{len(samples) / rate:.2f} of {seconds:.2f} s from {start:g} s on"
        raise InputError(f"{path} must be whole", found, "copy or convert it again")
    waveform = (samples[:, list(channels)] if channels else samples).mean(axis=1, dtype=np.float32)
    if waveform.size == 0 or not np.isfinite(waveform).all():
        found = "samples that are NaN or infinite" if waveform.size else "no samples"
        raise InputError(
            "a segment must have samples, all of them finite", f"{found} in {path.name}", "record it again"
        )
    return resample(waveform, rate, sample_rate)
