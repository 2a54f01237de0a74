"""What a command made, written beside it: so that the same command keeps it, and another one does not overwrite it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import check_place, read_json, write_json

RECORD = "made.json"
_WEIGHTS = (".safetensors", ".bin")
_BLOCKS, _BLOCK_BYTES = 64, 1 << 14


def made_before(
    out: Path,
    command: dict[str, Any],
    options: Mapping[str, str] = MappingProxyType({}),
    newer: Collection[str] = (),
) -> dict[str, Any] | None:
    """The figures of an earlier run of the same command, None if there is nothing yet.

    Args:
        out: the output directory.
        command: the verb and all that decides its result, as JSON takes it.
        options, newer: as for :func:`differences`.

    Raises:
        InputError: ``out`` is a file, or holds something else.
    """
    if not (out / RECORD).is_file():
        check_place(out)
        return None
    held = read_json(out / RECORD)
    different = differences(held["command"], command, options, newer)
    if different:
        raise InputError(
            "an output directory holds what one command made",
            f"{out} was made by another one: {different}",
            "give the same options, choose another place, or delete that directory",
        )
    return held["figures"]


def differences(
    before: dict[str, Any],
    now: dict[str, Any],
    options: Mapping[str, str] = MappingProxyType({}),
    newer: Collection[str] = (),
) -> str:
    """The first three differences of two commands, in words; empty if there are none.

    Args:
        before, now: commands, as JSON takes them.
        options: what sets a leaf of a command, by the pattern of its name, e.g. ``{"recipe.*.num_steps":
            "--steps"}``; of several leaves that one option sets the first is told.
        newer: parts that earlier versions did not note; where ``before`` has none of them they are no difference.
    """
    old = _leaves(before)
    new = _leaves({name: value for name, value in now.items() if name in before or name not in newer})
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


def digest_of_model(folder: Path) -> str:
    """Hex digest that a model of other weights or another tokenizer would not have, in a moment.

    Args:
        folder: of transformers; of its files of weights the sizes and some blocks are read.
    """
    state = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS or path.name == "tokenizer.json"):
        size = path.stat().st_size
        state.update(f"{path.name}\x1f{size}\x1f".encode())
        with path.open("rb") as file:
            for number in range(_BLOCKS):
                file.seek(max(0, size - _BLOCK_BYTES) * number // (_BLOCKS - 1))
                state.update(file.read(_BLOCK_BYTES))
    return state.hexdigest()[:32]


def digest_of_file(path: Path | str) -> str:
    """Hex digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
