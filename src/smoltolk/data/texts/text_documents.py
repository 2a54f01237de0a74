"""Running text as documents by number, without having it in memory: a memory map and the place of each line."""

from __future__ import annotations

import json
import mmap
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, overload

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.made import digest_of_file
from smoltolk.common.progress import bar
from smoltolk.common.texts import encodable_json, line_at, may_hold_halves, numbered_lines

TEXT_ENDINGS = (".txt", ".jsonl")
_LINES_PER_STEP = 1 << 16
_SILENT_MB = 100  # a second or two


class Documents(Sequence[str]):
    """Documents by number; each is one line, its white space made single spaces.

    Attributes:
        digest: hex string that another text would not have.
    """

    digest: str

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._document(k) for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        return self._document(index % len(self))

    @abstractmethod
    def _document(self, index: int) -> str:
        """The document of a number from 0."""


class LineDocuments(Documents):
    """Documents of a text file, one a line (``.jsonl``: the ``text`` of each line); 8 bytes of memory for each.

    Lines end as :func:`smoltolk.common.texts.split_lines` says.
    Every line is looked at once, at the start. Picklable: another process opens the file again.

    Args:
        path: ``.txt`` or ``.jsonl``, UTF-8; must not change while it is used. Empty lines are left out.

    Raises:
        NotFoundError: no such file.
        InputError: another ending, not UTF-8, no documents, or a line of JSON without a text.
    """

    def __init__(self, path: Path | str):
        self.path = check_text_file(path)
        self._json = self.path.suffix.lower() == ".jsonl"
        self._map: mmap.mmap | None = None
        self.digest = digest_of_file(self.path)
        self._places = self._find()

    def __len__(self) -> int:
        return len(self._places)

    def _document(self, index: int) -> str:
        if self._map is None:
            with self.path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = int(self._places[index])
        line = line_at(self._map, start)
        return text_of_line(line.decode("utf-8" if start else "utf-8-sig"), self._json, self.path, index + 1)

    def _find(self) -> np.ndarray:
        """int64: where each document's line begins."""
        found: list[np.ndarray] = []
        places: list[int] = []
        told = 0
        megabytes = self.path.stat().st_size / 1e6
        shown = bar(f"text {self.path.name}", megabytes, "MB") if megabytes > _SILENT_MB else nullcontext(None)
        with self.path.open("rb") as file, shown as progress:
            for number, (place, line) in enumerate(numbered_lines(file), 1):
                try:
                    text = text_of_line(
                        line.decode("utf-8-sig" if number == 1 else "utf-8"), self._json, self.path, number
                    )
                except UnicodeDecodeError as error:
                    raise not_utf8(self.path, error) from error
                if text:
                    places.append(place)
                if number % _LINES_PER_STEP == 0:
                    found.append(np.array(places, np.int64))
                    if progress is not None:
                        progress.advance((place - told) / 1e6)
                    places, told = [], place
        found.append(np.array(places, np.int64))
        if not sum(map(len, found)):
            raise no_texts(self.path)
        return np.concatenate(found)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}


def check_text_file(path: Path | str) -> Path:
    """A text file's path, if it is one.

    Raises:
        NotFoundError: no such file.
        InputError: another ending.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("a file of texts must exist", f"no file {path}", "check the path")
    if path.suffix.lower() not in TEXT_ENDINGS:
        raise InputError("a file of texts is .txt (a text a line) or .jsonl", path.name, "name or convert it so")
    return path


def check_text_there(source: Path | str) -> None:
    """Refuse a text file that is not there; other texts are looked at when they are opened.

    Args:
        source: as for :func:`smoltolk.data.texts.reading.read_documents`.

    Raises:
        NotFoundError: no such file.
    """
    if Path(source).suffix.lower() in TEXT_ENDINGS:
        check_text_file(source)


def text_of_line(line: str, is_json: bool, path: Path, number: int) -> str:
    """The text of a line, its white space made single spaces, encodable; "" if there is none.

    Raises:
        InputError: a line of JSON without a text.
    """
    if is_json and line.strip():
        line = parse_line(line, f"{path}, line {number}")["text"]
    return " ".join(line.split())


def parse_line(line: str, where: str) -> dict[str, Any]:
    """A line of ``.jsonl`` as an object with a ``text``; halves of characters are U+FFFD.

    Raises:
        InputError: it is something else.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError("every line of a .jsonl file must be JSON", f"{where}: {error}", "correct the line") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise InputError('every line must be like {"text": "..."}', f"{where}: {line[:80].strip()}", "correct the line")
    return encodable_json(row) if may_hold_halves(line) else row


def not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    """The error for a file in another encoding."""
    return InputError(f"{path} must be text in UTF-8", str(error), "save it again as UTF-8")


def no_texts(path: Path) -> InputError:
    """The error for a file without texts."""
    return InputError("a file of texts holds at least one", f"{path} has none", "write one text a line")
