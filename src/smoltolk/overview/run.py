"""A directory that a report is made of, and what every kind of it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_text
from smoltolk.overview.kinds import Kind, kind_of
from smoltolk.report.embedding import MEDIA_TYPES
from smoltolk.report.sections import Sound

_SOUNDS = tuple(suffix for suffix in MEDIA_TYPES if suffix != ".svg")


@dataclass(frozen=True, slots=True)
class Run:
    """A directory.

    Attributes:
        name: short, and no other run's of its kind.
        place: of it.
        kind: what left it.
        found: the JSON that tells its kind.
    """

    name: str
    place: Path
    kind: Kind
    found: Any


def found_in(places: Sequence[Path]) -> list[tuple[Path, Kind, Any]]:
    """What left some directories: each with its kind, and the JSON that tells it.

    Raises:
        NotFoundError: no such directory.
        InputError: none, one of another kind, not finished, or named twice.
    """
    twice = [place for place, count in Counter(place.resolve() for place in places).items() if count > 1]
    if not places or twice:
        found = f"{twice[0]} twice" if twice else "none"
        raise InputError("a report is made of one directory or several, each named once", found, "name them")
    return [(place, *kind_of(place)) for place in places]


def names_of(places: Sequence[Path]) -> list[str]:
    """For each place the last parts of its path, as many as no other one ends with."""
    whole = [place.resolve() if ".." in place.parts else place.absolute() for place in places]
    names = []
    for place in whole:
        for count in range(1, len(place.parts) + 1):
            name = "/".join(part.strip("/") for part in place.parts[-count:])
            if sum(other.parts[-count:] == place.parts[-count:] for other in whole) == 1:
                break
        names.append(name or str(place))
    return names


def sounds_of(run: Run, told: Mapping[str, tuple[str, str]] | None = None) -> tuple[Sound, ...]:
    """What lies in the folder ``samples`` of a run: first what is told, in its order, then the others by name.

    Args:
        run: whose.
        told: title and words of files by their path under the run's directory. Of others the title is that path, and
            the words lie in a ``.txt`` beside the file, where there is one.
    """
    folder, told = run.place / "samples", told or {}
    place_of = {run.place / name: number for number, name in enumerate(told)}
    sounds = []
    for path in sorted(folder.rglob("*"), key=lambda path: (place_of.get(path, len(told)), path)):
        if path.suffix.lower() in _SOUNDS and path.is_file() and not path.name.startswith("."):
            name = path.relative_to(run.place).as_posix()
            title = path.relative_to(folder).with_suffix("").as_posix()
            words = (read_text(path.with_suffix(".txt")) or "").strip()
            sounds.append(Sound(path, *told.get(name, (title, words))))
    return tuple(sounds)


@contextmanager
def damage_named(place: Path) -> Iterator[None]:
    """Tell of errors in what a file holds where the file lies.

    Raises:
        InputError: instead of every error that comes of a value which is not there, or not what it should be.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error.rule}", error.found, error.fix) from error
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ZeroDivisionError, StopIteration) as error:
        raise InputError(
            f"{place} must be as its command left it",
            f"it is damaged, or of another version ({type(error).__name__}: {error})",
            "run the command again, or leave this directory out",
        ) from error
