"""What lies in a folder and the folders in it, links followed."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Listing:
    """Paths below a folder, in order; hidden ones are left out.

    Attributes:
        files: whatever is no folder.
        folders: below it.
        unreadable: folders that could not be listed, each with the reason.
        places: device and inode of all that were, the folder itself included.
    """

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...]
    places: frozenset[tuple[int, int]]

    def holds(self, path: Path) -> bool:
        """Whether a path, which may not exist yet, lies in the folder or in one that a link in it leads to."""
        states = (place.stat() for place in path.resolve().parents if place.exists())
        return any((state.st_dev, state.st_ino) in self.places for state in states)


def list_folder(folder: Path) -> Listing:
    """List a folder. Links to folders are followed, each folder once: links in a circle come to an end, and what lies
    there under its own name is not found under that of a link."""
    files: list[Path] = []
    folders: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    seen: set[tuple[int, int]] = set()
    waiting = deque([folder])

    def failed(error: OSError) -> None:
        unreadable.append((Path(error.filename).relative_to(folder), error.strerror or type(error).__name__))

    while waiting:
        for place, inner, names in os.walk(waiting.popleft(), onerror=failed):
            here = Path(place)
            state = here.stat()
            if (state.st_dev, state.st_ino) in seen:
                inner.clear()
                continue
            seen.add((state.st_dev, state.st_ino))
            below = here.relative_to(folder)
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            waiting += [here / name for name in inner if (here / name).is_symlink()]
            folders += [below / name for name in inner]
            files += [below / name for name in names if not name.startswith(".")]
    return Listing(tuple(sorted(files)), tuple(sorted(folders)), tuple(sorted(unreadable)), frozenset(seen))


def is_file(path: Path) -> bool:
    """Whether a path leads to a file; where one may not look there is none."""
    try:
        return path.is_file()
    except OSError:
        return False
