"""A corpus whose recordings or texts changed: what did not change is taken over from its old parts.

::

    DIR/parts/00000/items.json     what the part was made of: {id: digest of the item}
    DIR/before/0/00000/...         old parts, while new ones are made; a killed run leaves them to the next

The result is the same as that of a run into a new directory.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import check_place, read_json, read_jsonl, write_json
from smoltolk.data.corpora.corpus import INFO, ITEMS, REJECTED, UTTERANCES, CorpusInfo, read_info
from smoltolk.data.corpora.making import Item

_BEFORE = "before"
# What may lie in a directory before it is claimed: manifests of a recipe, and what a killed process left.
_OURS = re.compile(r"manifests|\.tmp-.*")
# Utterances of an item, and what was rejected of it.
Rows = tuple[list[dict[str, Any]], list[dict[str, str]]]


def claim(directory: Path, info: CorpusInfo) -> bool:
    """Say what a directory is going to hold, or check that it is what it holds.

    Args:
        directory: may not exist.
        info: of the corpus that is to be made.

    Returns:
        whether there is a corpus that was made of the same place in the same way, but of other items: its parts are
        set aside, and the directory is claimed for the new ones.

    Raises:
        InputError: the directory holds another corpus, or something else.
    """
    path = directory / INFO
    if not path.is_file():
        check_place(directory, _OURS, "a corpus directory")
        write_json(path, asdict(info))
        return False
    held = read_info(directory)
    if held.digest == info.digest:
        return False
    if not info.settings or held.settings != info.settings:
        raise InputError(
            "a directory holds one corpus: of the same place, with the same options each time it is written",
            f"{directory} holds another corpus ({held.source}, {held.num_utterances} utterances)",
            "give another directory, or delete this one",
        )
    if (directory / "parts").is_dir():
        aside = directory / _BEFORE / str(len(_generations(directory)))
        aside.parent.mkdir(exist_ok=True)
        (directory / "parts").replace(aside)
    # Last: a kill before it leaves a corpus without parts, and nothing that passes for what it is not.
    write_json(path, asdict(info))
    return True


def known_items(corpus: Path) -> dict[str, Path]:
    """Where the items of old parts are: digest -> directory of the part; empty if there are no old parts."""
    known: dict[str, Path] = {}
    for generation in _generations(corpus):
        for part in sorted(generation.iterdir()):
            if (part / ITEMS).is_file():
                known |= dict.fromkeys(read_json(part / ITEMS).values(), part)
    return known


def forget(corpus: Path) -> None:
    """Delete old parts: the new ones are complete."""
    shutil.rmtree(corpus / _BEFORE, ignore_errors=True)


def take_over(old: Path, item: Item, directory: Path) -> Rows | None:
    """Bring an item that did not change into a part that is being made.

    Args:
        old: the part in which it was.
        item: it.
        directory: of the new part; recordings are linked there, or copied where that cannot be.

    Returns:
        its utterances and what was rejected of it, as rows; None if they are not there any more.
    """
    utterances, rejected = (rows.get(item.id, []) for rows in _rows_of(old, old.stat().st_mtime_ns))
    if not utterances and not rejected:
        return None
    try:
        for row in utterances:
            _link(old / row["audio"], directory / row["audio"])
    except FileNotFoundError:
        return None
    return utterances, [{**row, "audio": item.place} for row in rejected]


def _generations(corpus: Path) -> list[Path]:
    """Directories of old parts, the oldest first."""
    if not (corpus / _BEFORE).is_dir():
        return []
    return sorted((path for path in (corpus / _BEFORE).iterdir() if path.name.isdecimal()), key=lambda p: int(p.name))


@lru_cache(maxsize=4)
def _rows_of(part: Path, _: int) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    """Utterances and rejections of a part, by the item that they were made of; another one may get its name later."""
    found: list[dict[str, list[dict[str, Any]]]] = []
    for name in (UTTERANCES, REJECTED):
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in read_jsonl(part / name):
            rows.setdefault(row["id"].partition("+")[0], []).append(row)
        found.append(rows)
    return found[0], found[1]


def _link(old: Path, new: Path) -> None:
    new.unlink(missing_ok=True)
    try:
        os.link(old, new, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copy2(old, new, follow_symlinks=False)
