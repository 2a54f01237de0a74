"""Reading the files of tasks: tables with the columns they must have, Parquet of recordings, pairs of files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.data.corpora.names import file_name
from smoltolk.evaluation.tasks.items import SoundCell, SoundFile


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table with a header, by the names of its columns; it may have more than those.

    Raises:
        NotFoundError: no such file.
        InputError: a column is missing, a row is longer or shorter than the header, or there is no row.
    """
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "check --data")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="\0more", restval="\0less")
        found = reader.fieldnames or []
        missing = [name for name in columns if name not in found]
        if missing:
            raise InputError(
                f"{path.name} has the columns {', '.join(columns)}",
                f"{path} has {', '.join(map(str, found)) or 'none'}: no {', '.join(missing)}",
                "use the table of the task as it was published",
            )
        rows = list(reader)
    for number, row in enumerate(rows, 2):
        if "\0more" in row or "\0less" in row.values():
            raise InputError(
                "every row of a table has as many cells as its header", f"{path}, line {number}", "correct the line"
            )
    if not rows:
        raise InputError("a table has a row at least", f"none in {path}", "use the table as it was published")
    return rows


def sound_beside(folder: Path, relative: str | Path) -> SoundFile:
    """A recording of a task's folder.

    Raises:
        NotFoundError: it is not there.
    """
    path = folder / relative
    if not path.is_file():
        raise NotFoundError("every recording of a task must be there", f"no file {path}", "complete the folder")
    return SoundFile(path, file_name("-".join(Path(relative).with_suffix("").parts)))


def parquet_files(place: Path) -> list[Path]:
    """The Parquet files of a folder and of the folders in it, in order; a file alone is itself."""
    return [place] if place.is_file() else sorted(place.rglob("*.parquet"))


def parquet_columns(path: Path) -> list[str]:
    """Names of its columns.

    Raises:
        InputError: not Parquet.
    """
    try:
        return pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path.name} must be Parquet", first_line(error), "fetch it again") from error


def parquet_rows(path: Path, sounds: Sequence[str], texts: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Rows of recordings and texts; recordings are read when they are asked for.

    Args:
        path: of the file.
        sounds: columns of recordings.
        texts: other columns.

    Raises:
        InputError: a column is missing, or an audio column that holds something else.
    """
    schema = pq.read_schema(path)
    missing = [name for name in (*sounds, *texts) if name not in schema.names]
    if missing:
        raise InputError(
            f"{path.name} has the columns {', '.join((*sounds, *texts))}",
            f"it has {', '.join(schema.names)}: no {', '.join(missing)}",
            "use the files of the task as they were published",
        )
    for name in sounds:
        kind = schema.field(name).type
        if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            found = f"{name} of {path.name} is {kind}"
            raise InputError("an audio column is of {bytes, path}", found, "save it with the datasets library")
    table = pq.read_table(path, columns=list(texts)) if texts else None
    for row in range(pq.read_metadata(path).num_rows):
        values: dict[str, Any] = {name: table[name][row].as_py() for name in texts} if table is not None else {}
        stem = file_name("-".join((*path.parent.parts[-1:], path.stem)))
        values |= {name: SoundCell(path, name, row, f"{stem}-{row}-{name}") for name in sounds}
        yield values


def read_lines(path: Path) -> str:
    """The text of a small file, on one line.

    Raises:
        NotFoundError: no such file.
    """
    if not path.is_file():
        raise NotFoundError("every text of a task must be there", f"no file {path}", "complete the folder")
    return " ".join(path.read_text(encoding="utf-8").split())
