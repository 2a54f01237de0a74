"""The pages of an ogg file (RFC 3533): where each sound in it begins, and whether the last one ends."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import BinaryIO

_FIRST, _LAST = 2, 4  # marks in byte 5 of a page


@dataclass(frozen=True)
class OggPages:
    """How an ogg file is made.

    Attributes:
        links: a range of positions for each of the sounds that follow one another.
        ends: whether the last page is marked as the last.
    """

    links: tuple[range, ...]
    ends: bool


def read_pages(file: BinaryIO, start: int, end: int) -> OggPages:
    """Go through the heads of all pages; what lies between pages is passed over.

    Args:
        file: opened for reading.
        start, end: positions of the first page and of the end of the file.
    """
    begins: list[int] = []
    position, marks, whole = start, 0, False
    while position + 27 <= end:
        file.seek(position)
        head = file.read(27 + 255)
        if head[:4] != b"OggS":
            found = _next_page(file, position, end)
            if found is None:
                break
            position = found
            continue
        length = 27 + head[26] + sum(head[27 : 27 + head[26]])
        if head[5] & _FIRST and not (begins and marks & _FIRST):  # several at once are one film
            begins.append(position)
        marks, whole = head[5], position + length <= end
        position += length
    borders = [*begins, end]
    links = tuple(range(a, b) for a, b in itertools.pairwise(borders))
    return OggPages(links, bool(marks & _LAST) and whole)


def _next_page(file: BinaryIO, position: int, end: int) -> int | None:
    step = 65_536
    while position < end:
        file.seek(position)
        found = file.read(step + 3).find(b"OggS")
        if found >= 0:
            return position + found
        position += step
    return None
