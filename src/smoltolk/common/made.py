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
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / RECORD).is_file():
        raise InputError(
            "an output directory is new or empty, or holds what the same command made",
            f"{out} holds something else" if out.is_dir() else f"{out} is a file",
            "choose another place",
        )
    held = read_json(out / RECORD)
    before, now = _leaves(held["command"]), _leaves(command)
    different = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if different:
        if "verb" in different:  # then nothing else says more
            different = ["verb"]
        told = [f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in different[:3]]
        raise InputError(
            "an output directory holds what one command made",
            f"{out} was made by another one: {'; '.join(told)}",
            "choose another place, or delete that directory",
        )
    return held["figures"]


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """``{"recipe": {"stages": [{"num_steps": 8}]}}`` as ``{"recipe.stages.0.num_steps": 8}``."""
    if not isinstance(value, dict | list):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    leaves: dict[str, Any] = {}
    for key, part in items:
        leaves |= _leaves(part, f"{name}.{key}" if name else str(key))
    return leaves


def record(directory: Path, command: dict[str, Any], figures: dict[str, Any]) -> None:
    """Write the record of a directory that is not yet in its place."""
    write_json(directory / RECORD, {"command": command, "figures": figures})


def digest_of_file(path: Path | str) -> str:
    """Hex digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
