"""Data on object stores and other file systems of fsspec (``s3://``, ``gs://``, ``hf://``), on this machine.

What is read at random, for hours, by memory maps and Parquet files, is copied once into the cache and read there. A
copy is kept for as long as names, sizes and time stamps there stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import fsspec
from filelock import FileLock

from smoltolk.common.errors import InputError, NotFoundError, first_line, require
from smoltolk.common.files import atomic_file, cache_dir, read_json, write_json

_URL = re.compile(r"([a-z][a-z0-9+]+):/{1,3}(?=[^/])")  # Path makes one slash of two
_STAMPS = ("ETag", "etag", "md5", "mtime", "LastModified", "created")
_EXTRAS = {"s3": "s3fs", "s3a": "s3fs"}
_LIST = "copied.json"


def is_remote(place: Path | str) -> bool:
    """Whether a place is a URL of a file system that fsspec knows."""
    found = _URL.match(str(place))
    return found is not None and found[1] in fsspec.available_protocols()


def local_copy(place: Path | str, endings: tuple[str, ...] = ("",)) -> Path:
    """A place on this machine: as it is, or of a URL a copy of its file, or of the files in its folder (not deeper).

    Several processes may ask for one copy: one makes it, the others wait. Files appear whole, and a copy that was
    interrupted goes on.

    Args:
        place: a path or a URL of fsspec.
        endings: of the files of a folder that are wanted.

    Raises:
        MissingExtraError: what fsspec needs for it is not installed.
        NotFoundError: there is nothing.
        InputError: the store cannot be reached, or does not let us in.
    """
    if not is_remote(place):
        return Path(place)
    url = _URL.sub(lambda found: f"{found[1]}://", str(place)).rstrip("/")
    if (extra := _EXTRAS.get(url.partition(":")[0])) is not None:
        require(extra, f"data on {url.partition(':')[0]}://")
    errors: tuple[type[Exception], ...] = (OSError, ImportError, ValueError, *_errors_of_stores())
    try:
        system, path = fsspec.core.url_to_fs(url)
        entries = _entries(system, path, endings)
        folder = cache_dir() / "stores" / hashlib.sha256(url.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            _copy(system, entries, folder)
    except errors as error:
        if isinstance(error, InputError | NotFoundError):
            raise
        raise InputError(
            "data on an object store can be read from here",
            f"{url}: {first_line(error)}",
            "check its name, the network, and the credentials that fsspec takes from the environment",
        ) from error
    return folder / Path(path).name if system.isfile(path) else folder


def _errors_of_stores() -> tuple[type[Exception], ...]:
    """What client libraries raise that is no OSError, of those that are there."""
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return ()
    return (BotoCoreError,)


def _entries(system: Any, path: str, endings: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Files by their path there."""
    system.invalidate_cache()  # a listing of an hour ago may be another
    if system.isfile(path):
        return {path: system.info(path)}
    if not system.exists(path):
        raise NotFoundError("data must exist", f"nothing at {path}", "check the address")
    listed = system.ls(path, detail=True)
    found = {
        one["name"]: one
        for one in listed
        if one["type"] == "file" and one["name"].endswith(endings) and not Path(one["name"]).name.startswith(".")
    }
    if not found:
        raise NotFoundError("a folder holds data", f"no *{' or *'.join(endings)} in {path}", "check the address")
    return found


def _copy(system: Any, entries: dict[str, dict[str, Any]], folder: Path) -> None:
    known = read_json(folder / _LIST) if (folder / _LIST).is_file() else {}
    there = {Path(path).name: _stamp(entry) for path, entry in entries.items()}
    for name in known.keys() - there.keys():  # what is no longer there must not be trained on
        (folder / name).unlink(missing_ok=True)
    known = {name: stamp for name, stamp in known.items() if name in there}
    for path in entries:
        name = Path(path).name
        if known.get(name) != there[name] or not (folder / name).is_file():
            with atomic_file(folder / name) as temporary:
                system.get_file(path, str(temporary))
            known[name] = there[name]
            write_json(folder / _LIST, known)


def _stamp(entry: dict[str, Any]) -> str:
    return json.dumps([entry.get("size"), *(str(entry[name]) for name in _STAMPS if name in entry)])
