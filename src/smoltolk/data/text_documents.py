"""Running text as documents by number, without having it in memory.

Text files are read through the operating system's page cache (a memory map and the place of each line); data sets of
the ``datasets`` library lie on disk as Arrow and are read the same way.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, overload

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError, require
from smoltolk.common.files import write_jsonl
from smoltolk.common.made import digest_of_file
from smoltolk.common.progress import bar

_PURPOSE = "reading a data set of texts"
_LINES_PER_STEP = 1 << 16
_SAMPLED = 1000
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

    def _document(self, index: int) -> str:
        raise NotImplementedError


class LineDocuments(Documents):
    """Documents of a text file, one a line (``.jsonl``: the ``text`` of each line); 8 bytes of memory for each.

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
        stop = self._map.find(b"\n", start)
        line = self._map[start:] if stop < 0 else self._map[start:stop]
        return text_of_line(line.decode("utf-8" if start else "utf-8-sig"), self._json, self.path, index + 1)

    def _find(self) -> np.ndarray:
        """int64: where each document's line begins."""
        found: list[np.ndarray] = []
        places: list[int] = []
        place = told = 0
        megabytes = self.path.stat().st_size / 1e6
        shown = bar(f"text {self.path.name}", megabytes, "MB") if megabytes > _SILENT_MB else nullcontext(None)
        with self.path.open("rb") as file, shown as progress:
            for number, line in enumerate(file, 1):
                try:
                    text = text_of_line(
                        line.decode("utf-8-sig" if number == 1 else "utf-8"), self._json, self.path, number
                    )
                except UnicodeDecodeError as error:
                    raise not_utf8(self.path, error) from error
                if text:
                    places.append(place)
                place += len(line)
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


class DatasetDocuments(Documents):
    """Documents of a data set that lies on disk as Arrow.

    Args:
        rows: a ``datasets.Dataset``.
        column: of its texts.
        name: for errors.

    Raises:
        InputError: no such column of strings, or no rows.
    """

    def __init__(self, rows: Any, column: str, name: str):
        _check_column(rows.column_names, column, name)
        if not len(rows):
            raise InputError("a data set of texts has rows", f"{name} has none", "name another split")
        self._rows, self._column, self._name = rows.select_columns([column]), column, name
        state = hashlib.sha256(f"{len(rows)}".encode())
        for index in range(0, len(rows), max(1, len(rows) // _SAMPLED)):
            state.update(self._document(index).encode() + b"\n")
        self.digest = state.hexdigest()[:32]

    def __len__(self) -> int:
        return len(self._rows)

    def _document(self, index: int) -> str:
        text = self._rows[index][self._column]
        if not isinstance(text, str):
            raise InputError(
                f"the column {self._column!r} holds texts",
                f"{self._name}, row {index}: {text!r:.60}",
                "name another column",
            )
        return " ".join(text.split())


def open_documents(source: Path | str, column: str = "text") -> Documents:
    """Documents of whatever holds text.

    Args:
        source: a ``.txt`` or ``.jsonl`` file; a directory that ``Dataset.save_to_disk`` wrote, or one of data files
            (``.parquet``, ``.jsonl``, ...); or a name of the hub, ``NAME``, ``NAME:CONFIG`` or ``NAME:CONFIG:SPLIT``
            (split ``train`` if none is given), which is downloaded whole.
        column: of a data set's texts.

    Raises:
        NotFoundError: no such file.
        InputError: it holds no texts.
        MissingExtraError: a data set, and ``datasets`` is not installed.
    """
    path = Path(source)
    if path.is_file() or path.suffix.lower() in (".txt", ".jsonl"):
        return LineDocuments(path)
    name, _, _ = parts = split_name(str(source))
    if not path.is_dir() and ("/" not in name or name.startswith(("/", ".")) or name.count("/") > 1):
        raise NotFoundError("a text to read must exist", f"no file or directory {source}", "check the path")
    return DatasetDocuments(_load(*parts, streaming=False), column, str(source))


def save_documents(source: str, out: Path, *, most: int | None = None, column: str = "text") -> int:
    """Stream the texts of a data set into a ``.jsonl`` file, which appears whole.

    Args:
        source: as for :func:`open_documents`; of a name of the hub only what is needed is fetched.
        out: the file.
        most: documents; None: all. The first ones are taken.
        column: of the texts.

    Returns:
        how many documents were written.

    Raises:
        InputError: no texts, or ``out`` does not end in ``.jsonl``.
        MissingExtraError: ``datasets`` is not installed.
    """
    if out.suffix.lower() != ".jsonl":
        raise InputError("texts are written as .jsonl", out.name, "name it so")
    if most is not None and most < 1:
        raise InputError("a text has a document at least", f"{most}", "give 1 or more")
    path = Path(source)
    if path.is_file():
        rows: Any = LineDocuments(path)
    else:
        rows = _load(*split_name(source), streaming=True)

    def texts() -> Iterator[dict[str, str]]:
        written = 0
        with bar(f"text {out.name}", float("nan") if most is None else most, "documents") as progress:
            for row in rows:
                if not isinstance(row, str):
                    _check_column(list(row), column, source)
                text = " ".join(str(row if isinstance(row, str) else row[column]).split())
                if not text:
                    continue
                yield {"text": text}
                written += 1
                progress.advance()
                if written == most:
                    return
        if not written:
            raise InputError("a data set of texts has rows", f"{source} has none", "name another split")

    return write_jsonl(out, texts())


def split_name(source: str) -> tuple[str, str | None, str]:
    """``NAME:CONFIG:SPLIT`` as its parts."""
    name, _, rest = source.partition(":")
    config, _, split = rest.partition(":")
    return name, config or None, split or "train"


def check_text_file(path: Path | str) -> Path:
    """A text file's path, if it is one.

    Raises:
        NotFoundError: no such file.
        InputError: another ending.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("a file of texts must exist", f"no file {path}", "check the path")
    if path.suffix.lower() not in (".txt", ".jsonl"):
        raise InputError("a file of texts is .txt (a text a line) or .jsonl", path.name, "name or convert it so")
    return path


def text_of_line(line: str, is_json: bool, path: Path, number: int) -> str:
    """The text of a line, its white space made single spaces; "" if there is none.

    Raises:
        InputError: a line of JSON without a text.
    """
    if is_json and line.strip():
        line = parse_line(line, f"{path}, line {number}")["text"]
    return " ".join(line.split())


def parse_line(line: str, where: str) -> dict[str, Any]:
    """A line of ``.jsonl`` as an object with a ``text``.

    Raises:
        InputError: it is something else.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError("every line of a .jsonl file must be JSON", f"{where}: {error}", "correct the line") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise InputError('every line must be like {"text": "..."}', f"{where}: {line[:80].strip()}", "correct the line")
    return row


def not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    """The error for a file in another encoding."""
    return InputError(f"{path} must be text in UTF-8", str(error), "save it again as UTF-8")


def no_texts(path: Path) -> InputError:
    """The error for a file without texts."""
    return InputError("a file of texts holds at least one", f"{path} has none", "write one text a line")


def _check_column(columns: Sequence[str], column: str, name: str) -> None:
    if column not in columns:
        raise InputError(
            f"a data set of texts has a column {column!r}", f"{name} has {', '.join(columns)}", "name another column"
        )


def _load(name: str, config: str | None, split: str, *, streaming: bool) -> Any:
    datasets = require("datasets", _PURPOSE)
    path = Path(name)
    try:
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            held = datasets.load_from_disk(name)
            return held[split] if isinstance(held, datasets.DatasetDict) else held
        return datasets.load_dataset(name, config, split=split, streaming=streaming)
    except (ValueError, KeyError, OSError, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            "a data set of texts is a directory or a name of the hub, NAME:CONFIG:SPLIT",
            f"{name}, {config or 'no configuration'}, {split}: {error}",
            "check the name and the network",
        ) from error
