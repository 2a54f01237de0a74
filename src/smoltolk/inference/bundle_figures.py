"""Figures of a card, out of the results that the quick start and ``smoltolk evaluate`` write.

They are those of the reports, with intervals of 95% and beside chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.report import titles
from smoltolk.report.results import CHANCE, DIRECTIONS, KINDS, LENS, LENS_WAYS, cell_of, validate_results
from smoltolk.report.verdict import judge

_RATES = {"recognition_wer": "Recognition, word error rate", "synthesis_wer": "Synthesis, word error rate of a judge"}
_BOUNDS = ("low", "high")


def read_figures(path: Path, called: Sequence[str]) -> list[dict[str, Any]]:
    """Figures of results: ``{"what", "value", "from"}``, and ``low``, ``high``, ``chance``, ``n``, ``of`` where known.

    Args:
        path: ``results.json`` of the quick start, whose questions are told in pairs, or of ``smoltolk evaluate``.
        called: which of the quick start's models: the first of these names that it knows.

    Raises:
        NotFoundError: no such file.
        InputError: neither of the two, a damaged one, or one that knows no such model.
    """
    found = read_json(path)
    if _is_quickstart(found):
        validate_results(found)
        for system in called:
            if system in found["models"]:
                return [{**figure, "from": "quick start"} for figure in _quickstart(found, system)]
        raise InputError(
            f"a model of {path} is one of {', '.join(found['models'])}",
            f"one that is called {' or '.join(map(repr, called))}",
            "say which one this is (--system), or leave these results out",
        )
    try:
        if "tasks" in found or "transcription" in found:
            return [{**figure, "from": "evaluate"} for figure in _evaluation(found)]
        raise KeyError("models, tasks or transcription")
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            "figures of a card come from results.json of the quick start or of `smoltolk evaluate`",
            f"{path}: {error!r}",
            "name such a file",
        ) from error


def read_verdict(path: Path) -> str | None:
    """What a run of the quick start showed, in its report's words; None of other results.

    Raises:
        NotFoundError: no such file.
        InputError: results of the quick start that break their schema.
    """
    found = read_json(path)
    if not _is_quickstart(found):
        return None
    validate_results(found)
    verdict = judge(found)
    return f"{verdict.headline}. {verdict.statement} {verdict.limits}"


def _is_quickstart(found: Any) -> bool:
    return isinstance(found, dict) and "models" in found


def _quickstart(found: Mapping[str, Any], system: str) -> Iterator[dict[str, Any]]:
    told = {(kind, way): titles.KIND_TITLES[kind] for kind in KINDS for way in DIRECTIONS}
    told |= {(LENS, way): f"Text head on the last layer, {titles.LENS_TITLES[way].lower()}" for way in LENS_WAYS}
    for (kind, way), title in told.items():
        cell = cell_of(found, system, kind, way, pair=True)
        yield _cell(f"{title}, {way}", cell, CHANCE) | {"of": "pairs"}
    model = found["models"][system]
    for name, title in _RATES.items():
        yield _rate(title, {"value": model[name], **{bound: model.get(f"{name}_{bound}") for bound in _BOUNDS}})


def _evaluation(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, task in found.get("tasks", {}).items():
        rule, *_ = task["rules"]  # the one that was asked for; the other normalisation stands behind it
        for place, cell in task["rules"][rule]["cells"].items():
            yield _cell(f"{name}, {place} ({rule})", cell, task.get("chance"))
    for name, said in found.get("transcription", {}).items():
        rate = said.get("wer")
        if isinstance(rate, int | float):
            yield {"what": f"{name}, word error rate", "value": float(rate)}
        elif isinstance(rate, dict):
            yield _rate(f"{name}, word error rate", rate)


def _rate(what: str, rate: Mapping[str, Any]) -> dict[str, Any]:
    """A rate, and its bounds where there are some: a single recording has none."""
    return {"what": what} | {key: float(rate[key]) for key in ("value", *_BOUNDS) if rate.get(key) is not None}


def _cell(what: str, cell: Mapping[str, Any], chance: float | None) -> dict[str, Any]:
    figure: dict[str, Any] = {"what": what, "value": float(cell["accuracy"])}
    figure |= {key: cell[key] for key in (*_BOUNDS, "n") if key in cell}
    return figure | ({"chance": chance} if chance else {})
