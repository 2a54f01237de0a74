"""Sound that libsndfile decodes: wav, flac, ogg, mp3, aiff and others.

It believes headers: it stops where they say. So it sees headers that say what is there, or that nobody knows.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from smoltolk.common.errors import InputError
from smoltolk.speech.decoding.mpeg_frames import find_frames, note_of
from smoltolk.speech.decoding.ogg_pages import read_pages
from smoltolk.speech.decoding.riff import find_sound
from smoltolk.speech.decoding.sound import Sound
from smoltolk.speech.decoding.spliced import Spliced, undisturbed

_BUFFER = 1 << 16  # bytes: mp3 are read in pieces of four
_NOBODY_KNOWS = 1 << 40  # samples: libsndfile says 2^63 - 1
_FLAC_TOTAL, _FLAC_MASK = 18, (1 << 36) - 1  # 8 bytes that end with the number of samples
_FIX = "copy it again, or convert it to wav or flac first"


class _Forward(soundfile.SoundFile):
    """Reads on and on: soundfile seeks after each block, which fails in a flac of unknown length."""

    def seekable(self) -> bool:
        return False


class UnreadableError(InputError):
    """What libsndfile does not know, and another decoder may."""


class SoundFileSound(Sound):
    """A sound as libsndfile sees it.

    Args:
        stack: closes the file.
        path: of the file.
        source: what to read in place of the file, if libsndfile is to see other bytes.
        share: of the bytes that its header promises; None: libsndfile knows.

    Raises:
        UnreadableError: it is no sound.
    """

    def __init__(self, stack: ExitStack, path: Path, source: Spliced | None = None, share: float | None = None):
        self._path, self._source, self._share = path, source, share
        try:
            with _told(path, source):
                self._file = stack.enter_context(
                    _Forward(os.fsencode(path) if source is None else io.BufferedReader(source, _BUFFER))
                )
        except InputError as error:
            raise UnreadableError(error.rule, error.found, error.fix) from error
        self.sample_rate, self.num_channels = self._file.samplerate, self._file.channels
        self.holds_floats = self._file.subtype in ("FLOAT", "DOUBLE")
        self._promised = self._file.frames if 0 < self._file.frames < _NOBODY_KNOWS else None
        self.num_samples = self._promised

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        left = self._file.frames  # it reads no further, and clears all that it is given
        while left > 0 and len(block := self._read(min(size, left))):
            left -= len(block)
            yield block

    def missing(self, held: int) -> str | None:
        share = self._share
        if share is None:  # libsndfile notes a header that promises more than the file has
            noted = re.search(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", self._file.extra_info, re.M)
            share = int(noted[2]) / int(noted[1]) if noted and int(noted[1]) else 1.0
        if share < 1:
            return self._short(held, held / share) if share else "the sound is missing"
        return None if self._promised is None else self._short(held, self._promised)

    def stretch(self, first: int, count: int) -> tuple[np.ndarray, int]:
        if self.num_samples is None or first + count > self.num_samples:
            return super().stretch(first, count)
        with _told(self._path, self._source):
            self._file.seek(first)
        samples = self._read(count)
        return samples, first + len(samples)

    def _read(self, size: int) -> np.ndarray:
        with _told(self._path, self._source):
            return self._file.read(size, dtype="float32", always_2d=True)


class FlacSound(SoundFileSound):
    """A flac, read to its end whatever its header says.

    Args:
        stack, path: as those of :class:`SoundFileSound`.
        file: the same, opened.
        start, end: positions of ``fLaC`` and of the end of the file.
    """

    def __init__(self, stack: ExitStack, path: Path, file: BinaryIO, start: int, end: int):
        at = start + _FLAC_TOTAL
        if end <= at + 8:
            raise InputError(f"{path} must be audio", "it breaks off in its header", _FIX)
        file.seek(at)
        head = int.from_bytes(file.read(8), "big")
        total = head & _FLAC_MASK
        unknown = (head - total).to_bytes(8, "big")
        super().__init__(stack, path, Spliced(file, [range(start, at), unknown, range(at + 8, end)]))
        self._promised = self.num_samples = total or None
        self._stack, self._tagged = stack, start > 0

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        held = 0
        while self._promised is None or held < self._promised:
            block = self._read(size if self._promised is None else min(size, self._promised - held))
            if not len(block):
                return
            held += len(block)
            yield block
        try:
            more = self._read(1)
        except InputError:  # what lies behind all that was promised, and is no sound, may be a tag
            return
        if len(more):
            yield more
            yield from super().blocks(size)

    def stretch(self, first: int, count: int) -> tuple[np.ndarray, int]:
        if self.num_samples is None or first + count > self.num_samples or self._tagged:
            return Sound.stretch(self, first, count)
        return SoundFileSound(self._stack, self._path).stretch(first, count)  # as it is, it can be searched


class Mp3Sound(SoundFileSound):
    """The frames of an mp3, behind a note that says how many there are; arguments as those of :class:`FlacSound`."""

    def __init__(self, stack: ExitStack, path: Path, file: BinaryIO, start: int, end: int):
        frames = find_frames(file, start, end)
        if not frames.count:
            raise InputError(f"{path} must be audio", "it has no frames of an mp3", _FIX)
        super().__init__(stack, path, Spliced(file, [note_of(frames), *frames.ranges]))
        self.num_samples = frames.num_samples
        self._promised = frames.num_samples + frames.absent * frames.per_frame


class Links(Sound):
    """Sounds that follow one another in a file.

    Args:
        path: of the file.
        sounds: at least one.

    Raises:
        InputError: they differ in rate or channels.
    """

    def __init__(self, path: Path, sounds: Sequence[SoundFileSound]):
        kinds = sorted({(sound.sample_rate, sound.num_channels) for sound in sounds})
        if len(kinds) > 1:
            raise InputError(
                f"sounds that follow one another in {path} have one rate and as many channels",
                ", ".join(f"{rate} Hz with {channels}" for rate, channels in kinds),
                "save each as a file of its own",
            )
        self._sounds, self.holds_floats = sounds, any(sound.holds_floats for sound in sounds)
        self.sample_rate, self.num_channels = kinds[0]
        lengths = [sound.num_samples for sound in sounds]
        self._held = [length or 0 for length in lengths]
        self.num_samples = None if None in lengths else sum(self._held)

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        for number, sound in enumerate(self._sounds):
            self._held[number] = 0
            for block in sound.blocks(size):
                self._held[number] += len(block)
                yield block

    def missing(self, held: int) -> str | None:
        shown = (sound.missing(own) for sound, own in zip(self._sounds, self._held, strict=True))
        return next((one for one in shown if one), None)


def open_wav(stack: ExitStack, path: Path, file: BinaryIO, start: int, end: int) -> Sound:
    """A wav, or several that were put one behind the other; arguments as those of :class:`FlacSound`.

    Raises:
        UnreadableError: libsndfile does not know its codec.
        InputError: it is damaged.
    """
    parts: list[tuple[Spliced | None, float | None]] = []
    while start < end:
        wav = find_sound(file, start, end)
        if wav is None and not parts:
            return SoundFileSound(stack, path, Spliced(file, [range(start, end)]))
        if wav is None:
            raise InputError(f"{path} must be whole", f"the wav at byte {start} has no sound", _FIX)
        pieces = wav.pieces or ([range(end)] if isinstance(file, io.BytesIO) else [])  # which no path leads to
        parts.append((Spliced(file, pieces) if pieces else None, wav.share))
        start = wav.end
    return _linked(stack, path, parts)


def open_ogg(stack: ExitStack, path: Path, file: BinaryIO, start: int, end: int) -> Sound:
    """An ogg, or several that were put one behind the other; as :func:`open_wav`."""
    pages = read_pages(file, start, end)
    if not pages.links or not pages.ends:
        found = "its end is missing" if pages.links else "its beginning is missing"
        raise InputError(f"{path} must be whole", found, _FIX)
    return _linked(stack, path, [(Spliced(file, [link]), None) for link in pages.links])


def _linked(stack: ExitStack, path: Path, parts: Sequence[tuple[Spliced | None, float | None]]) -> Sound:
    sounds: list[SoundFileSound] = []
    for source, share in parts:
        try:
            sounds.append(SoundFileSound(stack, path, source, share))
        except UnreadableError as error:
            if sounds:  # libsndfile knows the codec: this part is damaged
                raise InputError(error.rule, error.found, error.fix) from error
            raise
    return sounds[0] if len(sounds) == 1 else Links(path, sounds)


@contextmanager
def _told(path: Path, source: Spliced | None) -> Iterator[None]:
    """What libsndfile says, in our words; before it, what kept it from reading."""
    try:
        with undisturbed() if source is not None else nullcontext():
            yield
    except soundfile.SoundFileError as error:
        if source is not None:
            source.check()
        found = getattr(error, "error_string", "") or "its data is damaged, or breaks off"
        raise InputError(f"{path} must be audio that libsndfile reads", found, _FIX) from error
    if source is not None:
        source.check()
