"""What tuning reads, and whether it is there: told before anything large is loaded."""

from __future__ import annotations

from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.hub import check_place
from smoltolk.training.tuning.dialogues import Dialogue, read_dialogues


def check_dialogues_there(model: Path | str, rows: Path, units: Path | None, *, preferences: bool = False) -> None:
    """Refuse a tuning that names places where nothing is, or recordings and no units.

    Args:
        model, rows, units: as :class:`~smoltolk.training.tuning.jobs.DialogueJob` takes them.
        preferences: rows have a worse answer too.

    Raises:
        NotFoundError: nothing is there.
        InputError: the units are not named, or not one row can be used.
    """
    check_place(model, "a SmolTolk model")
    if units is None:
        check_units_named(read_dialogues(rows, [], preferences=preferences), units)
    elif not rows.is_file():
        raise NotFoundError("dialogues are read from a file", f"no file {rows}", "check the path")
    elif not str(units).startswith("hf:") and not units.is_dir():
        raise NotFoundError("units must exist", f"no directory {units}", "check the path")


def num_recordings(dialogues: list[Dialogue]) -> int:
    """Recordings of all dialogues, each once."""
    return len({path for dialogue in dialogues for path in dialogue.recordings})


def check_units_named(dialogues: list[Dialogue], units: Path | None) -> None:
    """Refuse recordings that no units are named for.

    Raises:
        InputError: there are some.
    """
    count = num_recordings(dialogues)
    if count and units is None:
        raise InputError(
            "hearing needs the units of the model", f"{count} recordings, no units", "give their directory: --units DIR"
        )
