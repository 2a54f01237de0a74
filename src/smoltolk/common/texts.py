"""Text as it comes in: what cannot be written is found or replaced, and lines end alike everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from smoltolk.common.errors import InputError

# Half a character of UTF-16, as JSON of a text cut in the middle of an emoji has it, and as Python keeps a byte of a
# command line that is not UTF-8.
_LONE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")  # how JSON writes them
_LINE_END, _LINE_END_BYTES = re.compile("\r\n|\n|\r"), re.compile(b"\r\n|\n|\r")
_BLOCK = 1 << 20


def encodable(text: str) -> str:
    """A text that can be written as UTF-8: halves of a character that stand alone are U+FFFD."""
    if _LONE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def encodable_json(value: Any) -> Any:
    """What JSON holds, with :func:`encodable` texts and keys."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [encodable_json(one) for one in value]
    if isinstance(value, dict):
        return {encodable(name): encodable_json(one) for name, one in value.items()}
    return value


def may_hold_halves(json_text: str) -> bool:
    """Whether JSON may hold what :func:`encodable` replaces: a quick look before a slow one."""
    return _ESCAPE.search(json_text) is not None


def check_encodable(text: str, where: str) -> None:
    """Hold a text against what can be written.

    Args:
        text: as it was read.
        where: it stands, for the error.

    Raises:
        InputError: it holds half a character.
    """
    found = _LONE.search(text)
    if found is not None:
        around = text[max(0, found.start() - 20) : found.start() + 20].encode("unicode_escape").decode()
        raise InputError("a text is made of whole characters, in UTF-8", f"{where}: {around!r}", "write it again")


def split_lines(text: str) -> list[str]:
    """The lines of a text, without what ends them.

    A line ends with ``\\n``, ``\\r\\n`` or ``\\r``. Whatever else separates lines somewhere (form feeds, U+2028, ...)
    is white space inside of one.
    """
    return _LINE_END.split(text)


def numbered_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of each line of a file, as :func:`split_lines` has them."""
    place, rest, size = 0, b"", _BLOCK
    while block := file.read(size):
        data = rest + block
        start = 0
        for end in _LINE_END_BYTES.finditer(data):
            if end.end() == len(data) and end[0] == b"\r":
                break  # a \n may follow
            yield place + start, data[start : end.start()]
            start = end.end()
        size = _BLOCK if start else 2 * size  # a long line is not put together a thousand times
        place, rest = place + start, data[start:]
    if rest:
        yield place, rest.removesuffix(b"\r")


def line_at(data: Any, place: int) -> bytes:
    """The line of a buffer (bytes, a memory map) that begins at a place."""
    end = _LINE_END_BYTES.search(data, place)
    return bytes(data[place : len(data) if end is None else end.start()])
