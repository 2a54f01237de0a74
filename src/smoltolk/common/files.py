"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.texts import encodable_json, may_hold_halves

_CLOCKS_AGREE_SECONDS = 5.0  # a process's start is told in seconds since the machine's
_LONGEST_NAME = 200  # bytes; file systems take 255, of which suffixes and temporary names want some


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it over ``path`` if the block succeeds.

    A kill, an exception or a full disk leaves the old file (or none), never half of the new one.
    The temporary name keeps the suffix, because audio writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path | str) -> Iterator[Path]:
    """Like :func:`atomic_file` for a directory; an existing ``path`` is replaced."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        _put(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, path: Path) -> None:
    """Of several processes that put a directory there at the same time the last one wins, and none sees a half."""
    old = path.with_name(f".tmp-{os.getpid()}-old-{path.name}")
    while True:
        try:
            temporary.replace(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        with suppress(FileNotFoundError):  # another process took it away
            path.replace(old)
        shutil.rmtree(old, ignore_errors=True)


def check_place(out: Path, ours: re.Pattern[str] | None = None, kind: str = "an output directory") -> None:
    """Hold an output directory that no command has claimed yet against what may lie there.

    Args:
        out: may not exist.
        ours: names that may lie there; None: none.
        kind: of directory, for the message.

    Raises:
        InputError: it holds something else, or is a file.
    """
    found = ""
    if out.is_dir():
        there = sorted(path.name for path in out.iterdir() if ours is None or not ours.fullmatch(path.name))
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        found = f"{out} holds something else: {', '.join(there[:3])}{more}" if there else ""
    elif out.exists():
        found = f"{out} is a file"
    if found:
        raise InputError(f"{kind} is new or empty, or holds what the same command made", found, "choose another place")


def cache_dir() -> Path:
    """Where lies what can be fetched or made again: ``$SMOLTOLK_CACHE``, by default ``~/.cache/smoltolk``."""
    return Path(os.environ.get("SMOLTOLK_CACHE", "~/.cache/smoltolk")).expanduser()


def remove_leftovers(directory: Path | str, names: Collection[str] | None = None) -> None:
    """Delete what killed processes left in ``directory`` (not deeper) under a temporary name.

    Files of other processes that still live are kept: two runs side by side do not disturb each other.

    Args:
        directory: may not exist.
        names: of the files that were being written; None: any. Whoever shares a directory with other machines, whose
            processes cannot be seen, names his own files.
    """
    for path in Path(directory).glob(".tmp-*-*"):
        _, pid, name = path.name.split("-", 2)
        if names is not None and name not in names:
            continue
        try:
            if pid.isdigit() and int(pid) != os.getpid() and _is_written_by(int(pid), path):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            continue  # whoever wrote it has put it in its place, or another process has removed it


def _is_written_by(pid: int, path: Path) -> bool:
    """Whether the process that began to write ``path`` lives: its number may have passed to a younger one."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.create_time() < path.stat().st_mtime + _CLOCKS_AGREE_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # alive, and of another user


def write_text(path: Path | str, text: str) -> None:
    """Write a text in UTF-8, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path | str) -> str | None:
    """The text of a file in UTF-8 (what is not is replaced), None if there is no such file."""
    path = Path(path)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read JSON; halves of characters are U+FFFD.

    Raises:
        NotFoundError: no such file.
        InputError: not JSON, with the line and column.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "run the step that writes it first")
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors put a mark there
        value = json.loads(text)
        return encodable_json(value) if may_hold_halves(text) else value
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} must be JSON", str(error), "delete the file and run its step again") from error


def write_jsonl(path: Path | str, rows: Iterable[Any]) -> int:
    """Write one JSON object a line, atomically; return how many."""
    count = 0
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: Path | str) -> Iterator[Any]:
    """Yield the objects of a JSON-lines file; halves of characters are U+FFFD.

    Raises:
        NotFoundError: no such file.
        InputError: a line that is not JSON, with its number.
    """
    for number, line in read_lines(path):
        yield parse_line(line, path, number)


def read_lines(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, from 1.

    Raises:
        NotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "run the step that writes it first")
    with path.open("rb") as file:
        yield from enumerate(file, 1)


def parse_line(line: bytes, path: Path | str, number: int) -> Any:
    """What a line of a JSON-lines file says.

    Raises:
        InputError: it is not JSON in UTF-8.
    """
    try:
        text = line.decode("utf-8-sig")
        row = json.loads(text)
        return encodable_json(row) if may_hold_halves(text) else row
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, of a number too long; of a thousand brackets
        raise InputError(
            f"every line of {path} must be JSON",
            f"line {number}: {error}",
            "correct the line, or make the file again",
        ) from error


def is_file_name(name: str) -> bool:
    """Whether a name, with a suffix behind it, can be that of a file in every directory."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    return 0 < size <= _LONGEST_NAME and "\0" not in name and Path(name).name == name
