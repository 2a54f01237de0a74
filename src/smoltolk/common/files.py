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

from smoltolk.common.errors import InputError, NotFoundError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD: set[tuple[int, int]] = set()  # device and inode of the directories that this process writes into alone


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


@contextmanager
def sole_writer(directory: Path) -> Iterator[None]:
    """Hold a directory alone while the block runs; it is made if there is none, and taken away if it stays empty then.

    The lock is the system's (flock) on the directory itself: it leaves no file, and ends with the process, however that
    ends. Where there are no such locks (Windows, some network file systems) the block runs without.

    Raises:
        InputError: another process holds it, or it is a file.
    """
    check_place(directory, re.compile(".*", re.DOTALL))
    new = not directory.exists()
    handle = _lock(directory)
    state = directory.stat()
    key = (state.st_dev, state.st_ino)
    inner = key in _HELD
    _HELD.add(key)
    try:
        yield
    finally:
        if not inner:
            _HELD.discard(key)
        if new and not any(directory.iterdir()):
            directory.rmdir()
        if handle is not None:
            os.close(handle)


def _lock(directory: Path) -> int | None:
    """A lock on a directory, None where there is none to be had, or a block around this one has it."""
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            return None
        handle = os.open(directory, os.O_RDONLY)
        state = os.fstat(handle)
        if (state.st_dev, state.st_ino) in _HELD:
            os.close(handle)
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise InputError(
                "one process at a time writes into a directory",
                f"another one is writing into {directory}",
                "wait until it is done, or choose another place",
            ) from error
        except OSError:
            os.close(handle)
            return None
        if directory.exists() and directory.stat().st_ino == state.st_ino:
            return handle
        os.close(handle)  # whoever held it before took it away: once more


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
        if pid.isdigit() and int(pid) != os.getpid() and _alive(int(pid)):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # alive, and of another user
    return True


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
    """Read JSON.

    Raises:
        NotFoundError: no such file.
        InputError: not JSON, with the line and column.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "run the step that writes it first")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
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
    """Yield the objects of a JSON-lines file.

    Raises:
        NotFoundError: no such file.
        InputError: a line that is not JSON, with its number.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "run the step that writes it first")
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"every line of {path} must be JSON",
                    f"line {number}: {error}",
                    "correct the line, or make the file again",
                ) from error
