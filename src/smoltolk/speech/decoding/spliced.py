"""A file made of pieces of another one, for decoders that shall see other bytes than there are."""

from __future__ import annotations

import io
import signal
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from types import FrameType
from typing import BinaryIO

Piece = bytes | range


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the end: raised while a C library calls back, Python prints it and goes on."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield  # nobody listens, or signals come to another thread
        return
    waiting: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if waiting:
            handler(*waiting[0])


class Spliced(io.RawIOBase):
    """Reads pieces one after the other; nothing is copied.

    What goes wrong while a C library reads is kept, because no exception passes through it: :meth:`check` raises it.

    Args:
        file: opened for reading; stays open.
        pieces: bytes to put there, or ranges of positions in the file, none of them empty.
    """

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]):
        self._file, self._pieces, self._position = file, pieces, 0
        self._starts = [0, *accumulate(map(len, pieces))]
        self._problem: OSError | None = None

    def check(self) -> None:
        """Raise what went wrong since the last time."""
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._position, self._starts[-1])[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            return self._read(memoryview(buffer).cast("B"))
        except OSError as error:
            self._problem = error
            return 0

    def _read(self, buffer: memoryview) -> int:
        done = 0
        while done < len(buffer) and self._position < self._starts[-1]:
            number = bisect_right(self._starts, self._position) - 1
            piece, inside = self._pieces[number], self._position - self._starts[number]
            target = buffer[done : done + len(piece) - inside]
            if isinstance(piece, bytes):
                target[:] = piece[inside : inside + len(target)]
                got = len(target)
            else:
                self._file.seek(piece.start + inside)
                got = self._file.readinto(target)  # type: ignore[attr-defined]
            if not got:
                break
            done += got
            self._position += got
        return done
