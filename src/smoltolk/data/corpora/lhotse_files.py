"""Files of lhotse's manifests: where they lie, and their lines."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.texts import check_encodable, may_hold_halves

_ENDINGS = (".jsonl", ".jsonl.gz")


def find_manifests(path: Path) -> list[tuple[Path, Path | None]]:
    """Pairs of (supervisions, recordings), or (cuts, None)."""
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.name.endswith(_ENDINGS) and not p.name.startswith("."))
        wanted = [p for p in files if "supervisions" in p.name] or [p for p in files if "cuts" in p.name]
        if not wanted:
            raise NotFoundError(
                "a directory of manifests holds *supervisions*.jsonl.gz or *cuts*.jsonl.gz",
                f"none in {path}",
                "name the right directory, or the file itself",
            )
        return [(file, _recordings_of(file)) for file in wanted]
    if not path.is_file():
        raise NotFoundError("a manifest must exist", f"no file {path}", "check the path")
    if not path.name.endswith(_ENDINGS):
        fix = "convert it: lhotse copy OLD NEW.jsonl.gz"
        raise InputError("a manifest is .jsonl or .jsonl.gz", path.name, fix)
    return [(path, _recordings_of(path))]


def _recordings_of(path: Path) -> Path | None:
    """Where the recordings of a file of supervisions lie; None for cuts."""
    if "supervisions" not in path.name:
        first = next((row for _, row in numbered_rows(path) if isinstance(row, dict)), {})
        if "recording_id" in first:
            raise InputError(
                "the name of a file of supervisions says so, and its recordings lie beside it",
                f"{path.name} holds supervisions",
                "call them x_supervisions.jsonl.gz and x_recordings.jsonl.gz",
            )
        return None
    name = path.name.replace("supervisions", "recordings")
    for ending in ("", *_ENDINGS):
        beside = path.with_name(name.split(".jsonl")[0] + ending if ending else name)
        if beside.is_file():
            return beside
    raise NotFoundError(
        "supervisions need their recordings beside them", f"no file {path.with_name(name)}", "put it there"
    )


def numbered_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Numbered lines as objects, or as the reason why a line is none."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.name.endswith(".gz")
            else path.open(encoding="utf-8") as file
        ):
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                    if may_hold_halves(line):
                        check_encodable(json.dumps(row, ensure_ascii=False), f"{path.name}, line {number}")
                except InputError as error:
                    row = error
                except json.JSONDecodeError as error:
                    row = _not_an_object(path, number, str(error))
                if not isinstance(row, dict | InputError):
                    row = _not_an_object(path, number, line.strip()[:60])
                yield number, row
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError("a manifest must be a whole file", f"{path}: {error}", "write it again") from error


def _not_an_object(path: Path, number: int, found: str) -> InputError:
    return InputError("a line of a manifest is a JSON object", f"{path.name}, line {number}: {found}", "write it again")
