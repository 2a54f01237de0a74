"""The log of a run: a line of JSON for each thing that was measured, in the order of steps, with kills and without.

Lines are appended as they come. What a kill left behind its last whole checkpoint is measured again, so whoever goes on
from a checkpoint first takes away the lines of later steps, and the half of a line at the end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smoltolk.common.files import atomic_file

NAME = "log.jsonl"
RECORD = "record"  # in ``OUT.work``: the log and what else is kept beside the model


class RunLog:
    """Lines of ``log.jsonl``, each with ``step`` (counted over all stages) and ``kind`` (train, held_out or note).

    Args:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path):
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The whole lines that there are."""
        for line in self.path.read_bytes().splitlines(keepends=True) if self.path.is_file() else ():
            entry = _entry(line)
            if entry is not None:
                yield entry

    def continue_at(self, step: int) -> list[dict[str, Any]]:
        """Take away what lies behind a step, and the half of a line; return the lines that stay.

        Args:
            step: the last one that was trained.
        """
        kept = [entry for entry in self if entry["step"] <= step]
        text = "".join(map(_line, kept))
        if not self.path.is_file() or self.path.read_bytes() != text.encode():
            with atomic_file(self.path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return kept

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write a line; one that a kill cuts short has no end, and counts as not written.

        Args:
            entry: numbers that are not finite become null.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            file.write(_line(entry).encode())


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in entry.items()}, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _entry(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:  # of JSON, of UTF-8: a power cut leaves zeros
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("step"), int) else None
