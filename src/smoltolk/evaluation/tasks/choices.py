"""Choices of one's own, in any modality, from JSON lines.

::

    {"id": "a", "prompt": [{"text": "Anna eats"}], "options": [[{"text": "bread."}], [{"audio": "no.wav"}]], "right": 0}

A segment is ``{"text"}``, ``{"audio", "text"}`` (a path from the file's folder, and what is said, if it is known) or
``{"units"}``. ``prompt`` may be missing. More keys: ``cell`` (what is averaged by itself; default: the directions),
``mirror`` (id of the item in which another of the same options is right) and ``cluster``.
"""

from __future__ import annotations

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
    ids = {item.id for item in items}
    for item in items:
        if item.mirror is not None and item.mirror not in ids:
            raise InputError("a mirror image is an item too", f"{item.id!r}: no {item.mirror!r}", "add it")
    return Loaded(items)


def _item(row: Any, folder: Path, where: str) -> Item:
    if not isinstance(row, dict) or not {"id", "options"} <= row.keys() or not row.keys() <= _KEYS:
        found = f"{where}: {', '.join(row) if isinstance(row, dict) else type(row).__name__}"
        raise InputError(f"a choice has id and options, and may have {', '.join(sorted(_KEYS))}", found, "correct it")
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
        right=int(row.get("right", 0)),
        question=question,
        cluster=None if row.get("cluster") is None else str(row["cluster"]),
        mirror=None if mirror is None else str(mirror),
    )


def _segments(found: Any, folder: Path, where: str) -> Segments:
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError("prompts and options are lists of segments", where, 'write [{"text": ".."}]')
    return tuple(_segment(one, folder, where) for one in found)


def _segment(one: dict[str, Any], folder: Path, where: str) -> Segment:
    if "audio" in one and one.keys() <= {"audio", "text"}:
        return Segment(one.get("text"), sound_beside(folder, one["audio"]))
    if one.keys() == {"units"}:
        return Segment(units=np.asarray(one["units"], np.int64))
    if one.keys() == {"text"}:
        return Segment(one["text"])
    raise InputError("a segment has text, or audio (and text), or units", f"{where}: {', '.join(one)}", "correct it")


CHOICES = Task("choices", "choices of one's own, from JSON lines", load_choices, folders=("choices",))
