"""Figures of a card, out of the results that the quick start and ``smoltolk evaluate`` write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json

# Of the quick start's kinds of questions, in words.
_KINDS = {
    "story": "the end of a story",
    "fact_heard": "a fact that was heard, in a story",
    "fact_read": "a fact that was only read, in a story",
    "fact_heard_answer": "a fact that was heard, as an answer",
    "fact_read_answer": "a fact that was only read, as an answer",
}
_RATES = {"recognition_wer": "recognition, word error rate", "synthesis_wer": "synthesis, word error rate of a judge"}
_SYSTEM = "late"


def read_figures(path: Path, system: str = _SYSTEM) -> list[dict[str, Any]]:
    """Figures of results, each ``{"what", "value", "low", "high", "n", "from"}``; intervals are of 95%.

    Args:
        path: ``results.json`` of the quick start, or of ``smoltolk evaluate``.
        system: which of the quick start's models.

    Raises:
        NotFoundError: no such file.
        InputError: neither of the two, or a damaged one.
    """
    found = read_json(path)
    try:
        if "models" in found:
            figures = list(_quickstart(found["models"][system]))
        elif "tasks" in found or "transcription" in found:
            figures = list(_evaluation(found))
        else:
            raise KeyError("models, tasks or transcription")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            "figures of a card come from results.json of the quick start or of `smoltolk evaluate`",
            f"{path}: {error!r}",
            "name such a file",
        ) from error
    return [{**figure, "from": "quick start" if "models" in found else "evaluate"} for figure in figures]


def _quickstart(model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, told in _KINDS.items():
        for direction, cell in model.get(kind, {}).items():
            yield _cell(f"{told}, {direction} (chance 0.5)", cell)
    for name, told in _RATES.items():
        if name in model:
            bounds = {side: model.get(f"{name}_{side}") for side in ("low", "high")}
            yield {"what": told, **_known({"value": model[name], **bounds})}


def _evaluation(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, task in found.get("tasks", {}).items():
        rule = next(iter(task["rules"]))  # the one that was asked for; the other normalisation stands behind it
        for place, cell in task["rules"][rule]["cells"].items():
            chance = f", chance {task['chance']:.3g}" if task.get("chance") else ""
            yield _cell(f"{name}, {place} ({rule}{chance})", cell)
    for name, said in found.get("transcription", {}).items():
        if isinstance(said.get("wer"), int | float):
            yield {"what": f"{name}, word error rate", "value": float(said["wer"])}
        elif isinstance(said.get("wer"), dict):
            yield {"what": f"{name}, word error rate", **_known(said["wer"])}


def _known(rate: Mapping[str, Any]) -> dict[str, float]:
    """A rate, and its bounds where there are some: a single recording has none."""
    return {key: float(rate[key]) for key in ("value", "low", "high") if rate.get(key) is not None}


def _cell(what: str, cell: Mapping[str, Any]) -> dict[str, Any]:
    figure: dict[str, Any] = {"what": what, "value": float(cell["accuracy"])}
    return figure | {key: cell[key] for key in ("low", "high", "n") if key in cell}
