"""Choices of one's own, in any modality, from JSON lines.

::

    {"id": "a", "prompt": [{"text": "Anna eats"}], "options": [[{"text": "bread."}], [{"audio": "no.wav"}]], "right": 0}

A segment is ``{"text"}``, ``{"audio", "text"}`` (a path from the file's folder, and what is said, if it is known) or
``{"units"}``. ``prompt`` may be missing. More keys: ``cell`` (what is averaged by itself; default: the directions),
``mirror`` (id of the item in which another of the same options is right) and ``cluster``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_jsonl
from smoltolk.evaluation.tasks.items import Item, Segment, Segments
from smoltolk.evaluation.tasks.layouts import sound_beside
from smoltolk.evaluation.tasks.task import Loaded, Source, Task

_KEYS = {"id", "prompt", "options", "right", "cell", "mirror", "cluster"}


def load_choices(source: Source) -> Loaded:
    """Every line of every file."""
    root = source.folder("choices")
    files = sorted(root.glob("*.jsonl")) if root.is_dir() else [root]
    if not files:
        raise NotFoundError("choices are .jsonl files", f"none in {root}", "check --data")
    items = [
        _item(row, path.parent, f"{path.name}, line {number}")
        for path in files
        for number, row in enumerate(read_jsonl(path), 1)
    ]
    _check_mirrors(items)
    return Loaded(items)


def _check_mirrors(items: Sequence[Item]) -> None:
    by_id = {(item.cell, item.id): item for item in items}
    for item in items:
        if item.mirror is None:
            continue
        other = by_id.get((item.cell, item.mirror))
        if other is None:
            found = f"{item.id!r}: no {item.mirror!r} in {item.cell}"
            raise InputError("a mirror image is an item of the same cell", found, "add it, or correct its cell")
        if other.mirror != item.id or other is item:
            found = f"{item.id!r} names {other.id!r}, which names {other.mirror!r}"
            raise InputError("mirror images are two items that name each other", found, "correct their mirror")
        if len(item.options) != 2:
            found = f"{item.id!r} has {len(item.options)}"
            raise InputError("an item with a mirror image has two options", found, "leave mirror out")


def _item(row: Any, folder: Path, where: str) -> Item:
    if not isinstance(row, dict) or not {"id", "options"} <= row.keys() or not row.keys() <= _KEYS:
        found = f"{where}: {', '.join(row) if isinstance(row, dict) else type(row).__name__}"
        raise InputError(f"a choice has id and options, and may have {', '.join(sorted(_KEYS))}", found, "correct it")
    right = row.get("right", 0)
    if not isinstance(right, int) or isinstance(right, bool) or not isinstance(row["options"], list):
        found = f"{where}: right {right!r}, options {str(row['options'])[:40]}"
        raise InputError("options of a choice are a list, and right is the number of one of them", found, "correct it")
    prompt = _segments(row.get("prompt") or [], folder, where)
    options = tuple(_segments(option, folder, where) for option in row["options"])
    if not all(options):
        raise InputError("an option has a segment at least", where, "correct it")
    mirror, name = row.get("mirror"), str(row["id"])
    way = ("ST"[not prompt[-1].is_speech] if prompt else "") + "->" + "ST"[not options[0][0].is_speech]
    question = None if mirror is None else min(name, str(mirror))
    return Item(
        name,
        str(row.get("cell", way)),
        (prompt,) if prompt else (),
        options,
        right=right,
        question=question,
        cluster=None if row.get("cluster") is None else str(row["cluster"]),
        mirror=None if mirror is None else str(mirror),
    )


def _segments(found: Any, folder: Path, where: str) -> Segments:
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError("prompts and options are lists of segments", where, 'write [{"text": ".."}]')
    return tuple(_segment(one, folder, where) for one in found)


def _segment(one: dict[str, Any], folder: Path, where: str) -> Segment:
    text, keys = one.get("text"), one.keys()
    if "audio" in keys <= {"audio", "text"} and isinstance(one["audio"], str) and (text is None or _is_text(text)):
        return Segment(text, sound_beside(folder, one["audio"]))
    if keys == {"units"} and (units := _units(one["units"])) is not None:
        return Segment(units=units)
    if keys == {"text"} and _is_text(text):
        return Segment(text)
    found = f"{where}: {str(one)[:60]}"
    raise InputError("a segment has text, or audio (and text), or units", found, "correct it")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _units(found: Any) -> np.ndarray | None:
    """Whole numbers [n], or [n, Q]; None for anything else."""
    try:
        units = np.asarray(found)
    except ValueError:  # rows of several lengths
        return None
    return units.astype(np.int64) if units.dtype.kind == "i" and units.ndim in (1, 2) else None


CHOICES = Task("choices", "choices of one's own, from JSON lines", load_choices, folders=("choices",))
