"""What a command made, written beside it: so that the same command keeps it, and another one does not overwrite it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_json

RECORD = "made.json"


def made_before(out: Path, command: dict[str, Any]) -> dict[str, Any] | None:
    """The figures of an earlier run of the same command, None if there is nothing yet.

    Args:
        out: the output directory.
        command: the verb and all that decides its result, as JSON takes it.

    Raises:
        InputError: ``out`` is a file, or holds something else.
    """
    if out.is_dir() and not any(out.iterdir()):
        return None
    if not out.exists():
        return None
    if not (out / RECORD).is_file():
        raise InputError(
            "an output directory is new or empty, or holds what the same command made",
            f"{out} holds something else" if out.is_dir() else f"{out} is a file",
            "choose another place",
        )
    held = read_json(out / RECORD)
    different = {name for name in {**held["command"], **command} if held["command"].get(name) != command.get(name)}
    if different:
        now, before = ({name: which.get(name) for name in sorted(different)} for which in (command, held["command"]))
        raise InputError(
            "an output directory holds what one command made", f"{out} was made with {before}, now {now}",
            "choose another place, or delete that directory",
        )  # fmt: skip
    return held["figures"]


def record(directory: Path, command: dict[str, Any], figures: dict[str, Any]) -> None:
    """Write the record of a directory that is not yet in its place."""
    write_json(directory / RECORD, {"command": command, "figures": figures})


def digest_of_file(path: Path | str) -> str:
    """Hex digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
