"""One process at a time writes to an output.

A lock file beside the output, ``.NAME.lock``, is locked while a process lives and holds it; the system lets go when the
process dies, however it dies. What is assumed: the file system knows ``flock``, and machines that share it over a
network do so for each other (NFS since version 4; Lustre mounted with ``flock``). Where it does not, two processes on
two machines are not held apart; a mixed result is still refused by the record of what a directory holds.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from smoltolk.common.errors import InputError
from smoltolk.common.files import remove_leftovers
from smoltolk.common.processes import is_main

_held: Counter[Path] = Counter()  # by this process: what holds an output may call what holds it too


@contextmanager
def hold(out: Path | str, share: str = "") -> Iterator[None]:
    """Keep other processes from writing to an output while the block runs, and clear away what killed ones left of it.

    Of several processes that work together only the first holds it.

    Args:
        out: a directory or a file that will be written; it need not exist.
        share: names a part of the work, which others may do the other parts of at the same time.

    Raises:
        InputError: another process holds it.
    """
    place = Path(out).absolute()
    place = place.resolve() if place.is_symlink() or place.parent.exists() else place
    path = place.parent / f".{place.name}{share and '-'}{share}.lock"
    if _held[path] or not is_main():
        _held[path] += 1
        try:
            yield
        finally:
            _held[path] -= 1
        return
    made = [parent for parent in (path.parent, *path.parent.parents) if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):  # the output is there, and its neighbourhood is another's
        path = Path(tempfile.gettempdir()) / f"smoltolk-{sha256(os.fsencode(path)).hexdigest()[:32]}.lock"
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(place, path) from None
    _held[path] += 1
    try:
        path.write_text(f"{os.getpid()}\n", encoding="utf-8")
        remove_leftovers(place.parent, {place.name, f"old-{place.name}"})
        yield
    finally:
        _held[path] -= 1
        # Before the lock is let go: who has opened the file meanwhile notices that it is gone, and opens another.
        path.unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # what was made for the lock alone
            for parent in made:
                parent.rmdir()


def _busy(place: Path, path: Path) -> InputError:
    try:
        number = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        number = ""
    who = f"another process, number {number}," if number.isdigit() else "another process"
    return InputError(
        "one process at a time writes to an output",
        f"{who} writes to {place}",
        "wait until it is done, or choose another place",
    )
