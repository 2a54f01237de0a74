"""Texts of data sets, through the ``datasets`` library: on disk by number, or streamed into a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pyarrow import ArrowInvalid

from smoltolk.common.errors import InputError, NotFoundError, first_line, require
from smoltolk.common.files import write_jsonl
from smoltolk.common.progress import bar
from smoltolk.common.texts import encodable
from smoltolk.data.texts.text_documents import Documents, LineDocuments

_PURPOSE = "reading a data set of texts"
_SAMPLED = 1000


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
        return encodable(" ".join(text.split()))


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
            for row in _sound_rows(rows, source):
                if not isinstance(row, str):
                    _check_column(list(row), column, source)
                text = encodable(" ".join(str(row if isinstance(row, str) else row[column]).split()))
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


def _sound_rows(rows: Iterable[Any], source: str) -> Iterator[Any]:
    """Rows as they come; InputError where the files of a data set cannot be read any further."""
    try:
        yield from rows
    except (ArrowInvalid, UnicodeDecodeError) as error:
        raise InputError(
            "the files of a data set must be whole, in UTF-8",
            f"{source}: {first_line(error)}",
            "correct them; a .jsonl file named by itself is read line by line, and says which line it is",
        ) from error


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
