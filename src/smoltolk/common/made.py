"""What a command made, written beside it: so that the same command keeps it, and another one does not overwrite it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import check_place, read_json, write_json

RECORD = "made.json"


def made_before(
    out: Path, command: dict[str, Any], options: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any] | None:
    """The figures of an earlier run of the same command, None if there is nothing yet.

    Args:
        out: the output directory.
        command: the verb and all that decides its result, as JSON takes it.
        options: as for :func:`differences`.

    Raises:
        InputError: ``out`` is a file, or holds something else.
    """
    if not (out / RECORD).is_file():
        check_place(out)
        return None
    held = read_json(out / RECORD)
    different = differences(held["command"], command, options)
    if different:
        raise InputError(
            "an output directory holds what one command made",
            f"{out} was made by another one: {different}",
            "give the same options, choose another place, or delete that directory",
        )
    return held["figures"]


def differences(before: dict[str, Any], now: dict[str, Any], options: Mapping[str, str] = MappingProxyType({})) -> str:
    """The first three differences of two commands, in words; empty if there are none.

    Args:
        before, now: commands, as JSON takes them.
        options: what sets a leaf of a command, by the pattern of its name, e.g. ``{"recipe.*.num_steps":
            "--steps"}``; of several leaves that one option sets the first is told.
    """
    old, new = _leaves(before), _leaves(now)
    different = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    if "verb" in different:  # then nothing else says more
        different = ["verb"]
    told: dict[str, str] = {}
    for name in different:
        option = next((option for pattern, option in options.items() if fnmatchcase(name, pattern)), "")
        change = f"{name} was {old.get(name)!r}, is {new.get(name)!r}"
        told.setdefault(option or name, f"{option} ({change})" if option else change)
    return "; ".join(list(told.values())[:3])


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """``{"stage2": {"betas": [0.9]}}`` as ``{"stage2.betas.0": 0.9}``."""
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
