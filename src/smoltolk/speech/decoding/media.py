"""Sound that FFmpeg decodes, through PyAV: what phones and browsers record (m4a, webm, amr, ...), films, G.722.

Some of FFmpeg's formats are lists of other files or addresses. They are not among those allowed here, the file is
opened by us, and whatever asks for another one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from smoltolk.common.errors import InputError, require
from smoltolk.speech.decoding.sound import Sound
from smoltolk.speech.decoding.spliced import Spliced

# Demuxers that read one file: none for playlists, scripts, devices, raw data or pictures.
FORMATS = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flv,matroska,mov,mpeg,mpegts,ogg,tta,wav,w64,wv"
# Of these, a header tells how long the whole is: the sound's own length, or that of its longest stream.
_OWN_LENGTH, _WHOLE_LENGTH = "mov", ("matroska", "asf")
_WHOLE_SLACK = 0.5  # seconds: the last picture of a film has no length
_REST = 4096  # bytes behind the last packet that may be no packet, but a tag or half of one
_FIX = "copy it again, or convert it to wav or flac"


class MediaSound(Sound):
    """The sound of a file, or of a film: of several, the one that players take.

    Args:
        stack: closes the file.
        path: of the file, for messages.
        file: opened for reading.
        end: its length in bytes.
        raw: name of a format without a header; None: the file tells what it is.
        share: of what its header promises; 1 where it is not known.

    Raises:
        MissingExtraError: PyAV is not installed.
        InputError: it is no sound.
    """

    def __init__(
        self, stack: ExitStack, path: Path, file: BinaryIO, end: int, raw: str | None = None, share: float = 1.0
    ):
        self._av = require("av", f"reading {path.suffix or path.name}")
        self._path, self._share, self._end = path, share, end
        self._source = Spliced(file, [range(end)])
        try:
            self._container = stack.enter_context(
                self._av.open(
                    self._source,
                    "r",
                    format=raw,
                    container_options={"format_whitelist": raw or FORMATS},
                    metadata_errors="replace",
                    io_open=_refuse,
                )
            )
        except (self._av.FFmpegError, ValueError) as error:
            self._source.check()
            raise InputError(f"{path} must be audio", _said(error), _FIX) from error
        self._stream = self._container.streams.best("audio")
        if self._stream is None or self._stream.codec_context is None:
            raise InputError(f"{path} must be audio", "it holds no sound that can be decoded", _FIX)
        self.holds_floats = self._stream.codec_context.name.startswith("pcm_f")
        self._reached = 0.0
        self._frames = self._decoded()
        # What is decoded has the true rate: some codecs say half of it in their header.
        self._first = next(self._frames, None)
        self.sample_rate, self.num_channels = self._kind(
            self._stream.codec_context if self._first is None else self._first
        )

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        held: list[np.ndarray] = []
        length = 0
        frame = self._first
        while frame is not None:
            if self._kind(frame) != (self.sample_rate, self.num_channels):
                rate, channels = self._kind(frame)
                raise InputError(
                    f"the sound of {self._path} has one rate and as many channels throughout",
                    f"{self.sample_rate} Hz with {self.num_channels}, then {rate} Hz with {channels}",
                    "convert it to wav or flac",
                )
            held.append(_samples(frame, self.num_channels))
            length += len(held[-1])
            if length >= size:
                yield np.concatenate(held)
                held, length = [], 0
            frame = next(self._frames, None)
        if length:
            yield np.concatenate(held)

    def missing(self, held: int) -> str | None:
        names = self._container.format.name.split(",")
        if self._share < 1:
            return self._short(held, held / self._share) if self._share else "the sound is missing"
        if _OWN_LENGTH in names and self._stream.duration:
            return self._short(held, float(self._stream.duration * self._stream.time_base) * self.sample_rate)
        promised = (self._container.duration or 0) / self._av.time_base
        if any(name in names for name in _WHOLE_LENGTH) and self._reached < promised - _WHOLE_SLACK:
            return f"{self._reached / promised:.0%} of what its header promises"
        return None

    def _decoded(self) -> Iterator[Any]:
        """Frames of the sound. A packet that cannot be decoded is damage, but for the last one, which may break off."""
        damage: Exception | None = None
        place = 0
        try:
            for packet in self._container.demux():
                place = max(place, (packet.pos or 0) + packet.size)
                if packet.pts is not None and packet.time_base is not None:
                    self._reached = max(self._reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != self._stream.index:
                    continue
                try:
                    frames = packet.decode()
                except self._av.FFmpegError as error:
                    damage = damage or error
                    continue
                if frames and packet.size and damage is not None:
                    raise damage
                yield from frames
        except self._av.FFmpegError as error:
            self._source.check()
            if damage is not None or place < self._end - _REST:
                raise InputError(f"{self._path} must be whole", f"damaged: {_said(error)}", _FIX) from error
        self._source.check()

    def _kind(self, frame: Any) -> tuple[int, int]:
        return int(frame.sample_rate or 0), len(frame.layout.channels)


def _samples(frame: Any, num_channels: int) -> np.ndarray:
    """float32 ``[samples, channels]``, full scale at 1."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, num_channels)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float32)


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise InputError("a sound lies in one file", f"it asks for {url[:200]}", _FIX)


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
