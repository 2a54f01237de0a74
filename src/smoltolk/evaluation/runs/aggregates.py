"""Points -> accuracies with intervals, averaged as the authors of a task average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smoltolk.evaluation.cloze import cell_of
from smoltolk.evaluation.intervals import cluster_bootstrap, strata_bootstrap
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.judging import Row

Cell = dict[str, Any]
Aggregate = Callable[[Sequence[Row], Rule, int], Cell]


def plain(rows: Sequence[Row], rule: Rule, seed: int) -> Cell:
    """Mean over items; in pairs too, where every item has its mirror image."""
    if len({row["fact"] for row in rows}) < 2:
        return _unknown([row["points"] for row in rows])
    cell = cell_of(list(rows), rule, seed)
    return {**cell["pair"], "single": {**cell, "pair": None}} if rule.paired and "pair" in cell else cell


def by_question(rows: Sequence[Row], rule: Rule, seed: int) -> Cell:
    """Mean over the voices of a question, then over questions; each stratum beside it.

    Of sWUGGY ``by_frequency`` has the official scorer's bands, and ``in_vocabulary`` is the mean over questions in
    any of them but ``oov``, words that LibriSpeech does not have.
    """
    names, values, strata = points_of_questions(rows)
    cell = _bootstrap(values, names, seed)
    if all("length" in one for one in strata):
        cell["by_length"] = _by_stratum(values, [one["length"] for one in strata])
    if all("frequency" in one for one in strata):
        bands = [_band(one["frequency"]) for one in strata]
        cell["by_frequency"] = _by_stratum(values, bands)
        known = np.array([band not in ("", "oov") for band in bands])
        if known.any() and not known.all():
            inside = [name for name, is_known in zip(names, known, strict=True) if is_known]
            cell["in_vocabulary"] = _bootstrap(values[known], inside, seed)
    return cell


def by_type(rows: Sequence[Row], rule: Rule, seed: int) -> Cell:
    """Mean over voices, over the questions of a type, and over types (macro); ``by_pair`` is that over questions."""
    names, values, strata = points_of_questions(rows)
    types = [one.get("type", "") for one in strata]
    cell = strata_bootstrap(values, types, seed=seed).as_dict("accuracy")
    return cell | {"by_pair": _bootstrap(values, names, seed), "by_type": _by_stratum(values, types)}


AGGREGATES: dict[str, Aggregate] = {"plain": plain, "by_question": by_question, "by_type": by_type}


def cells_of(rows: Sequence[Row], aggregate: str, rule: Rule, seed: int) -> dict[str, Cell]:
    """Every cell of a task, in the order in which they come."""
    return {
        cell: AGGREGATES[aggregate]([row for row in rows if row["cell"] == cell], rule, seed)
        for cell in dict.fromkeys(row["cell"] for row in rows)
    }


def points_of_questions(rows: Sequence[Row]) -> tuple[list[str], np.ndarray, list[dict[str, str]]]:
    """Names of questions, their mean points over voices, and the strata of each, in the order in which they come."""
    points: dict[str, list[float]] = {}
    strata: dict[str, dict[str, str]] = {}
    for row in rows:
        points.setdefault(row["question"], []).append(row["points"])
        strata.setdefault(row["question"], row["strata"])
    return list(points), np.array([np.mean(one) for one in points.values()]), list(strata.values())


def _bootstrap(values: np.ndarray, names: Sequence[str], seed: int) -> Cell:
    if len(names) < 2:
        return _unknown(values.tolist())
    return cluster_bootstrap(values, list(names), seed=seed).as_dict("accuracy")


def _unknown(points: Sequence[float]) -> Cell:
    """Of a single cluster nothing can be said beyond it."""
    return {"accuracy": float(np.mean(points)), "low": 0.0, "high": 1.0, "n": len(points)}


def _band(frequency: str) -> str:
    """The band of a word that LibriSpeech has so often; what is no number is a band by itself."""
    if not frequency.isdigit():
        return frequency
    counts = dict(zip((0, 1, 5, 20, 100), ("oov", "1-5", "6-20", "21-100", ">100"), strict=True))
    return counts[max(first for first in counts if first <= int(frequency))]


def _by_stratum(values: np.ndarray, strata: Sequence[str]) -> dict[str, Cell]:
    found = np.array(strata)
    return {
        str(name): {"accuracy": float(values[found == name].mean()), "n": int((found == name).sum())}
        for name in sorted(set(strata) - {""})
    }
