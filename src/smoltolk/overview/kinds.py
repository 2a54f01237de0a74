"""What kind of run left a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json
from smoltolk.training.loop.log import NAME, RECORD, RunLog

Kind = Literal["evaluation", "analysis", "quick start", "ablation", "experiment", "training"]
# By the file that tells it, and the verb that leaves it.
_FILES: dict[str, Kind] = {"ablation.json": "ablation", "analysis.json": "analysis", "training.json": "training"}
_KNOWN = (
    "a report is made of directories of `evaluate` (results.json), `analyse` (analysis.json), `quickstart`"
    " (results.json), `ablate` (ablation.json, results.json), of trained models (training.json) and of trainings"
    " (log.jsonl)"
)
# What results.json holds tells whose it is.
_RESULTS: dict[str, Kind] = {"tasks": "evaluation", "models": "quick start", "arms": "experiment"}
_NAMED = 3  # directories that a fix names


def kind_of(place: Path) -> tuple[Kind, Any]:
    """The kind of a directory, and the JSON that tells it.

    Raises:
        NotFoundError: no such directory.
        InputError: none of the known kinds, one that is not finished, or a file that is not JSON.
    """
    if place.is_file():
        fix = f"name its directory, {place.parent}"
        raise InputError("a report is made of directories", f"{place} is a file", fix)
    if not place.is_dir():
        raise NotFoundError("a report is made of directories that exist", f"no directory {place}", "check the path")
    for name, kind in _FILES.items():
        if (place / name).is_file():
            return kind, read_json(place / name)
    if (place / "results.json").is_file():
        results = read_json(place / "results.json")
        for key, kind in _RESULTS.items():
            if isinstance(results, dict) and key in results:
                return kind, results
        raise InputError(_KNOWN, f"{place / 'results.json'} is of none of them", "name other directories")
    log = log_of(place)
    if log is not None:
        lines = [line for line in RunLog(log) if line.get("kind") == "train"]
        return "training", {"history": [{k: value for k, value in line.items() if value is not None} for line in lines]}
    if (place / "run.json").is_file():
        raise InputError(
            f"{_KNOWN}, when they are finished",
            f"{place} has a run.json and no results",
            "run its command again: it goes on",
        )
    if any((place / "parts").glob("*.json")):
        raise InputError(
            "a report is made of what is finished",
            f"{place} has parts of an analysis and no analysis.json: it is not finished",
            "run its command again: it goes on",
        )
    held = sorted(path.name for path in place.iterdir())
    found = (
        f"{place} holds {', '.join(held[:4])}{' and more' if len(held) > 4 else ''}" if held else f"{place} is empty"
    )
    inside = [str(path) for path in sorted(place.iterdir()) if path.is_dir() and _is_known(path)]
    more = " and so on" if len(inside) > _NAMED else ""
    fix = f"name what lies in it: {' '.join(inside[:_NAMED])}{more}" if inside else "name other directories"
    raise InputError(_KNOWN, found, fix)


def _is_known(place: Path) -> bool:
    return any((place / name).is_file() for name in (*_FILES, "results.json")) or log_of(place) is not None


def log_of(place: Path) -> Path | None:
    """The log of a training: in the model directory, or in that of its checkpoints while it lasts."""
    return next((path for path in (place / NAME, place / RECORD / NAME) if path.is_file()), None)
