"""Waveforms in and out of files, and the one place where time becomes samples or frames."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import atomic_file
from smoltolk.speech.decoding.kinds import open_sound, open_sound_bytes
from smoltolk.speech.decoding.scale import Scale
from smoltolk.speech.decoding.sound import Sound

SAMPLE_RATE = 16_000
_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
# 0.29 s * 100 Hz = 28.999... stands for 29: what lies closer than this to a whole number is one.
_SLACK = 1e-6
# Of recordings that nobody vouches for: samples per second, channels, and samples that are decoded at once.
_SLOWEST, _FASTEST, _MOST_CHANNELS, _BLOCK = 2_000, 768_000, 32, 1 << 14
_ROUNDING = 0.05  # seconds by which the end of a stretch may pass that of its file


def num_samples(seconds: float, sample_rate: int = SAMPLE_RATE) -> int:
    """The sample nearest to a time (halves go up).

    Args:
        seconds: a time or a duration, >= 0.
        sample_rate: samples per second.

    Raises:
        InputError: a time that is negative or not finite, or a rate that is not positive.
    """
    _check_time(seconds, sample_rate)
    return math.floor(seconds * sample_rate + 0.5 + _SLACK)


def num_frames(seconds: float, frame_rate: float) -> int:
    """How many whole frames fit into a duration; a frame that is not full does not count.

    Args:
        seconds: a duration, >= 0.
        frame_rate: frames per second (units: 25 or 50).

    Raises:
        InputError: a duration that is negative or not finite, or a rate that is not positive.
    """
    _check_time(seconds, frame_rate)
    return math.floor(seconds * frame_rate + _SLACK)


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate (soxr, high quality); times in seconds stay as they are.

    Args:
        waveform: float32 [samples] at ``from_rate``.

    Returns:
        float32 [samples at ``to_rate``], as many as the duration needs (rounded to the nearest sample);
        the same array if the rates are equal.
    """
    if from_rate == to_rate:
        return waveform
    resampled = soxr.resample(waveform, from_rate, to_rate, quality="HQ").astype(np.float32, copy=False)
    wanted = num_samples(len(waveform) / from_rate, to_rate)
    return np.pad(resampled, (0, max(0, wanted - len(resampled))))[:wanted]


def load(path: Path | str, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read an audio file as mono (the mean of its channels); its loudness stays as it is.

    A sound is as long as what decodes. Where a header promises more than that by 0.1 s, the file breaks off; more than
    is promised is taken whole. Beside the result it needs the memory of one block, whatever the channels and the rate.

    Args:
        path: wav, flac, ogg, opus, mp3, aiff and whatever else libsndfile reads; with the extra ``media`` also what
            phones, browsers and cameras record (m4a, mp4, webm, amr, ...).
        sample_rate: the rate to resample to.

    Returns:
        float32 [samples].

    Raises:
        NotFoundError: no such file.
        InputError: not audio, cut off before its end, no samples, samples that are not finite, or most of them beyond
            full scale.
        MissingExtraError: it takes the extra ``media``.
    """
    samples = bytearray()  # it grows in place: hours of blocks, joined at the end, would be there twice
    for block in read_blocks(path, sample_rate):
        samples += block.tobytes()
    return np.frombuffer(samples, np.float32)


def read_blocks(path: Path | str, sample_rate: int = SAMPLE_RATE, seconds: float = 30.0) -> Iterator[np.ndarray]:
    """Read an audio file block by block, for recordings of any length; one after the other they are :func:`load`'s.

    Args:
        path: as for :func:`load`.
        sample_rate: the rate to resample to.
        seconds: of the file that are read at once, > 0.

    Yields:
        mono float32 [samples], at least one of them not empty.

    Raises:
        NotFoundError, InputError, MissingExtraError: as for :func:`load`; what is wrong later in the file shows when it
            is reached.
    """
    with _opened(path) as sound:
        yield from _mono(sound, Path(path), sample_rate, num_samples(seconds, sound.sample_rate))


def load_bytes(
    data: bytes, sample_rate: int = SAMPLE_RATE, *, longest: float, name: str = "the recording"
) -> np.ndarray:
    """Decode what would be the content of an audio file, which nobody vouches for; no file is read or written.

    A few kilobytes can promise, and hold, hours of sound, and a header can name any rate and any number of channels:
    what is decoded at once is small, and it ends where the limit is passed.

    Args:
        data: as a file that :func:`load` reads.
        sample_rate: the rate to resample to.
        longest: seconds.
        name: what messages call it.

    Returns:
        float32 [samples].

    Raises:
        InputError, MissingExtraError: as for :func:`load`; or it lasts longer, or has a rate or channels that no
            recording has.
    """
    with open_sound_bytes(data, name) as sound:
        rate, channels = sound.sample_rate, sound.num_channels
        if not _SLOWEST <= rate <= _FASTEST or not 0 < channels <= _MOST_CHANNELS:
            raise InputError(
                f"{name} has {_SLOWEST:,} to {_FASTEST:,} samples a second in {_MOST_CHANNELS} channels at most",
                f"{rate:,} in {channels}", "convert it to wav or flac",
            )  # fmt: skip
        held, most = bytearray(), num_samples(longest, sample_rate)
        for block in _mono(sound, Path(name), sample_rate, _BLOCK, num_samples(longest, rate)):
            held += block.tobytes()
        return np.frombuffer(held, np.float32)[:most]


def _mono(sound: Sound, path: Path, sample_rate: int, size: int, most: int | None = None) -> Iterator[np.ndarray]:
    """The blocks of a sound, about ``size`` samples of it at a time, mono and resampled; ``most`` samples of it."""
    from_rate = sound.sample_rate
    stream = None if from_rate == sample_rate else soxr.ResampleStream(from_rate, sample_rate, 1, "float32", "HQ")
    samples, given = 0, 0
    scale = Scale(str(path))
    for block in sound.blocks(size):
        if sound.holds_floats:
            scale.add(block)
        waveform = check_waveform(block.mean(axis=1, dtype=np.float32), str(path))
        samples += len(waveform)
        if most is not None and samples > most:
            raise InputError(f"{path} lasts {most / from_rate:g} s at most", "it goes on", "cut it at pauses")
        if stream is not None:
            waveform = stream.resample_chunk(waveform)
        given += len(waveform)
        yield waveform
    _check_whole(sound, path, samples)
    scale.check()
    if stream is not None:
        rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
        wanted = num_samples(samples / from_rate, sample_rate) - given
        yield np.pad(rest, (0, max(0, wanted - len(rest))))[: max(0, wanted)]


def load_stretch(
    path: Path | str, start: float, seconds: float, channels: Sequence[int] = (), sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Read a stretch of an audio file as mono, where the format allows it without the rest.

    Args:
        path: as for :func:`load`; it may break off behind the stretch.
        start, seconds: where it lies; its end may pass the file's by 0.05 s (rounding).
        channels: the ones to read, counted from 0; none: all. The mean of several is taken.
        sample_rate: the rate to resample to.

    Returns:
        float32 [samples].

    Raises:
        NotFoundError, InputError, MissingExtraError: as for :func:`load`; or the file has no such stretch or channel.
    """
    with _opened(path) as sound:
        name, rate, holds_floats = Path(path).name, sound.sample_rate, sound.holds_floats
        if any(not 0 <= channel < sound.num_channels for channel in channels):
            found = f"channel {max(channels)} of {name}, which has {sound.num_channels}"
            raise InputError("channels are counted from 0", found, "correct the channel")
        samples, length = np.zeros((0, sound.num_channels), np.float32), 0
        if start >= 0 and seconds > 0:
            samples, length = sound.stretch(num_samples(start, rate), num_samples(seconds, rate))
        if len(samples) < max(1, num_samples(max(0.0, seconds - _ROUNDING), rate)):
            if start >= 0 and seconds > 0:
                _check_whole(sound, Path(path), length)
            raise InputError(
                "a segment lies within its recording",
                f"{start:g} to {start + seconds:g} s of {name}"
                + (f", which lasts {length / rate:g} s" if length else ""),
                "correct its times",
            )
    waveform = (samples[:, list(channels)] if channels else samples).mean(axis=1, dtype=np.float32)
    check_waveform(waveform, f"a stretch of {path}")
    if holds_floats:
        scale = Scale(str(path))
        scale.add(samples)
        scale.check()
    return resample(waveform, rate, sample_rate)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much sound a file holds: samples of each channel, samples per second, channels."""

    num_samples: int
    sample_rate: int
    num_channels: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.num_samples / self.sample_rate


def measure(path: Path | str, *, decode: bool = False) -> Extent:
    """How much sound a file holds, in its own rate.

    Args:
        path: as for :func:`load`.
        decode: decode it. Otherwise its head is believed where it counts samples (a flac's; mp3 are counted frame by
            frame), and only what says nothing is decoded.

    Raises:
        NotFoundError, InputError, MissingExtraError: as for :func:`load`.
    """
    with _opened(path) as sound:
        held = None if decode else sound.num_samples
        if held is None:
            held = sum(len(block) for block in sound.blocks(30 * sound.sample_rate))
        _check_whole(sound, Path(path), held)
        return Extent(held, sound.sample_rate, sound.num_channels)


@contextmanager
def _opened(path: Path | str) -> Iterator[Sound]:
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("an audio file must exist", f"no file {path}", "check the path")
    with open_sound(path) as sound:
        yield sound


def _check_whole(sound: Sound, path: Path, samples: int) -> None:
    """Half a recording does not pass for the whole: its text would not fit it."""
    fix = "copy or convert it again"
    if not samples:
        raise InputError(f"{path} must have samples", "it is empty, or breaks off before the first one", fix)
    missing = sound.missing(samples)
    if missing is not None:
        raise InputError(f"{path} must be whole", missing, fix)


def check_waveform(waveform: np.ndarray, what: str = "a waveform") -> np.ndarray:
    """A waveform as float32 ``[samples]``.

    Args:
        waveform: of any numbers.
        what: it is, for the message.

    Raises:
        InputError: empty, not one-dimensional, or not finite.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1 or waveform.size == 0:
        raise InputError(
            f"{what} must be mono, one-dimensional with at least one sample",
            f"shape {waveform.shape}",
            "average its channels (smoltolk.speech.audio.load does), and leave empty recordings out",
        )
    if not np.isfinite(waveform).all():
        raise InputError(
            f"samples of {what} must be finite",
            f"{int((~np.isfinite(waveform)).sum())} of {waveform.size} samples are NaN or infinite",
            "record or convert it again, or leave it out",
        )
    return waveform


def check_sound_path(path: Path | str) -> Path:
    """A path that :func:`save` can write to, so far as its name tells.

    Raises:
        InputError: another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"audio is written as {', '.join(_FORMATS)}", path.name, "give the file one of these suffixes")
    return path


def save(path: Path | str, waveform: np.ndarray, sample_rate: int = SAMPLE_RATE) -> None:
    """Write a mono waveform; the suffix (wav, flac, ogg or mp3) chooses the format.

    The file appears whole or not at all. Samples beyond [-1, 1] are clipped by the integer formats.

    Args:
        waveform: float [samples], full scale at 1.

    Raises:
        InputError: another suffix, another shape, no samples, or samples that are not finite.
    """
    path = check_sound_path(path)
    waveform = check_waveform(waveform, f"the waveform for {path.name}")
    # Encoded in memory: libsndfile would call a full disk a "system error", Python says what it is.
    encoded = io.BytesIO()
    soundfile.write(encoded, waveform, sample_rate, format=_FORMATS[path.suffix.lower()])
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.getvalue())


def _check_time(seconds: float, rate: float) -> None:
    if not (math.isfinite(seconds) and seconds >= 0 and rate > 0):
        raise InputError(
            "a time is finite and >= 0, a rate is > 0",
            f"{seconds} s at {rate} per second",
            "check the segment's times",
        )
