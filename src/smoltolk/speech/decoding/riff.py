"""Where the sound of a wav file lies, whatever its header says about the length."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from smoltolk.speech.decoding.spliced import Piece

# Sizes that programs write who do not know when the sound will end: 0, and values near 2^31 (sox, arecord, espeak) and
# 2^32 (ffmpeg). A sound that truly is that long is taken whole anyway.
_UNKNOWN_FROM = 0x7FFF_0000
_CHUNK = struct.Struct("<4sI")


@dataclass(frozen=True)
class Wav:
    """Where the sound of a wav file lies.

    Attributes:
        pieces: of the file, with a header that says how long it is; empty if the file's own does.
        share: of what the header promises that is there; 1 where it promises nothing.
        end: where another file begins that was put behind it, or the end.
    """

    pieces: tuple[Piece, ...]
    share: float
    end: int


def find_sound(file: BinaryIO, start: int, end: int) -> Wav | None:
    """Look for the sound of a wav file; None if no chunk holds one.

    Args:
        file: opened for reading.
        start, end: positions of ``RIFF`` and of the end of the file.
    """
    position = start + 12
    while position + _CHUNK.size <= end:
        name, promised = _at(file, position)
        body = position + _CHUNK.size
        if name == b"data":
            return _sound(file, start, body, promised, end)
        position = body + promised + promised % 2
    return None


def _sound(file: BinaryIO, start: int, body: int, promised: int, end: int) -> Wav:
    stop = _end_of_chunks(file, body + promised, end)
    if stop is not None:
        return Wav(() if start == 0 and stop == end else (range(start, stop),), 1.0, stop)
    held = end - body
    if held > 0xFFFF_FFFF - (body - start):  # no header can say it; libsndfile reads to the end
        return Wav((), 1.0, end)
    unknown = promised >= _UNKNOWN_FROM or not promised
    # libsndfile reads to the end where a header promises more, and stops where it promises less.
    riff, data = (struct.pack("<I", size) for size in (end - start - 8, held))
    pieces = (range(start, start + 4), riff, range(start + 8, body - 4), data, range(body, end))
    return Wav(tuple(piece for piece in pieces if len(piece)), 1.0 if unknown else held / promised, end)


def _at(file: BinaryIO, position: int) -> tuple[bytes, int]:
    file.seek(position)
    name, size = _CHUNK.unpack(file.read(_CHUNK.size))
    return name, size


def _end_of_chunks(file: BinaryIO, position: int, end: int) -> int | None:
    """Where the chunks end that follow the sound: at the end, or where the next file begins; None: it is no chunk."""
    odd = position % 2
    while position + _CHUNK.size <= end:
        name, size = _at(file, position)
        if odd and not _printable(name):  # the byte that fills up an odd chunk
            position, odd = position + 1, 0
            continue
        if name == b"RIFF":
            return position
        if not _printable(name):
            return None
        position, odd = position + _CHUNK.size + size + size % 2, 0
    return end if end <= position <= end + 1 or position + odd == end else None


def _printable(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)
