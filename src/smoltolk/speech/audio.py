"""Waveforms in and out of files, and the one place where time becomes samples or frames."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import atomic_file

SAMPLE_RATE = 16_000
_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
# 0.29 s * 100 Hz = 28.999... stands for 29: what lies closer than this to a whole number is one.
_SLACK = 1e-6
_UNKNOWN_BYTES = 2**31 - 1
_OGG_PAGE = 65_307  # bytes at most
_MP3_PADDING, _MP3_HEAD = 4_800, 65_536  # samples that players cut off or not; bytes, tags included


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

    Beside the result it needs the memory of one block, whatever the channels and the rate of the file.

    Args:
        path: any format that libsndfile reads (wav, flac, ogg, mp3, ...).
        sample_rate: the rate to resample to.

    Returns:
        float32 [samples].

    Raises:
        NotFoundError: no such file.
        InputError: not audio, cut off before its end, no samples, or samples that are not finite.
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
        NotFoundError: no such file.
        InputError: as for :func:`load`; what is wrong later in the file shows when it is reached.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("an audio file must exist", f"no file {path}", "check the path")
    try:
        with soundfile.SoundFile(path) as file:
            yield from _blocks(file, path, sample_rate, num_samples(seconds, file.samplerate))
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{path} must be audio that libsndfile reads",
            str(error) or "its data is damaged, or breaks off",
            "copy it again, or convert it to wav or flac first",
        ) from error


def _blocks(file: soundfile.SoundFile, path: Path, sample_rate: int, size: int) -> Iterator[np.ndarray]:
    from_rate = file.samplerate
    stream = None if from_rate == sample_rate else soxr.ResampleStream(from_rate, sample_rate, 1, "float32", "HQ")
    samples, given = 0, 0
    # An end is known only when a read gives less: the header of an mp3 is an estimate.
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        waveform = block.mean(axis=1, dtype=np.float32)
        check_waveform(waveform, str(path))
        samples += len(waveform)
        if stream is not None:
            waveform = stream.resample_chunk(waveform)
        given += len(waveform)
        yield waveform
    _check_whole(file, path, samples)
    if stream is not None:
        rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
        wanted = num_samples(samples / from_rate, sample_rate) - given
        yield np.pad(rest, (0, max(0, wanted - len(rest))))[: max(0, wanted)]


def _check_whole(file: soundfile.SoundFile, path: Path, samples: int) -> None:
    """Half a recording does not pass for the whole: its text would not fit it."""
    fix = "copy or convert it again"
    if not samples:
        raise InputError(f"{path} must have samples", "it is empty, or breaks off before the first one", fix)
    # libsndfile notes a wav whose header promises more than the file has, and reads on. A header written before the
    # length was known promises 4 GB.
    noted = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    promised, held = (int(noted[1]), int(noted[2])) if noted else (file.frames, samples)
    if noted:
        broken = held < promised < _UNKNOWN_BYTES
    elif file.format == "FLAC":
        broken = held < promised
    elif file.format == "OGG":
        broken = not _last_page_says_so(path)
    else:
        # Without such a mark the length of an mp3 is an estimate.
        broken = file.format in ("MP3", "MPEG") and _counts_its_frames(path) and held < promised - _MP3_PADDING
    if broken:
        found = f"{held / promised:.0%} of what its header promises" if held < promised else "its end is missing"
        raise InputError(f"{path} must be whole", found, fix)


def _last_page_says_so(path: Path) -> bool:
    """Whether the last page of an ogg file is marked as the last (RFC 3533, section 6: third bit of byte 5)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _OGG_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & 4)


def _counts_its_frames(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_MP3_HEAD)
    return b"Xing" in head or b"Info" in head


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
