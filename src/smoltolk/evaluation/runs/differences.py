"""What two stored runs differ by, item by item; no model is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smoltolk.evaluation.cloze import difference_of
from smoltolk.evaluation.intervals import paired_difference, strata_bootstrap
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.aggregates import points_of_questions
from smoltolk.evaluation.runs.answering import answer_points
from smoltolk.evaluation.runs.judging import Row, judge
from smoltolk.evaluation.runs.presets import NamedRule
from smoltolk.evaluation.runs.records import Record
from smoltolk.evaluation.tasks.names import TASKS

Difference = dict[str, Any]
# What makes two records those of one item, whatever the model.
_SAME = ("question", "cluster", "rival", "mirror", "strata", "right", "prompt", "options", "references", "reference")


def other_items(one: Sequence[Record], other: Sequence[Record]) -> str | None:
    """How the items of two runs differ, for people; None: they are the same ones."""
    first, second = ({_key(record): record for record in records} for records in (one, other))
    alone = len(first.keys() - second.keys()), len(second.keys() - first.keys())
    if any(alone):
        return f"{alone[0]} items of the one and {alone[1]} of the other stand alone"
    changed = [key for key in first if any(first[key].get(name) != second[key].get(name) for name in _SAME)]
    return f"{len(changed)} items of the same name differ, {changed[0][1]!r} first" if changed else None


def run_differences(
    task: str, one: Sequence[Record], other: Sequence[Record], rule: NamedRule | None, seed: int
) -> dict[str, Difference]:
    """``other - one`` in every cell, paired by item, with 95% intervals as the task's accuracies have them.

    Items that one of the two has no score of are left out; a written answer that is not there is wrong, as in results.

    Args:
        task: its name.
        one, other: records of the same items (:func:`other_items`).
        rule: to judge by; None for spoken questions, whose answers are judged by their task.
        seed: of the bootstrap.

    Returns:
        ``{cell: {"difference", "low", "high", "n"}}``, and ``pair``, the same of mirrored questions together.

    Raises:
        InputError: the rule needs what a run did not keep.
    """
    if rule is None:
        points = [dict(zip(map(_key, rows), answer_points(task, rows), strict=True)) for rows in (one, other)]
        keys = list(points[0])
        values = [np.array([each[key] for key in keys]) for each in points]
        return {"S->T": _difference(values[1], values[0], [name for _, name in keys], seed)}
    rows = [_rows(task, records, rule) for records in (one, other)]
    shared = [key for key in rows[0] if key in rows[1]]
    found = {}
    for cell in dict.fromkeys(cell for cell, _ in shared):
        first, second = ([each[key] for key in shared if key[0] == cell] for each in rows)
        found[cell] = _AGGREGATES[TASKS[task].aggregate](second, first, rule.rule, seed)
    return found


def _key(record: Record) -> tuple[str, str]:
    return record.get("cell", ""), record["id"]


def _rows(task: str, records: Sequence[Record], rule: NamedRule) -> dict[tuple[str, str], Row]:
    """Points by cell and id, in the order of the records."""
    rows: dict[tuple[str, str], Row] = {}
    for has_prompt in (True, False):
        chosen = [record for record in records if record["shape"].startswith("->") != has_prompt]
        rows |= {(row["cell"], row["id"]): row for row in judge(chosen, rule.for_item(task, has_prompt).rule)}
    return {key: rows[key] for key in map(_key, records) if key in rows}


def _plain(one: list[Row], other: list[Row], rule: Rule, seed: int) -> Difference:
    if len({row["fact"] for row in one}) < 2:
        return _difference(*_points(one, other), [row["fact"] for row in one], seed)
    found = difference_of(one, other, rule, seed, one[0]["cell"])
    return found["pair"] if rule.paired and "pair" in found else found


def _by_question(one: list[Row], other: list[Row], rule: Rule, seed: int) -> Difference:
    names, values, _ = points_of_questions(one)
    return _difference(values, points_of_questions(other)[1], names, seed)


def _by_type(one: list[Row], other: list[Row], rule: Rule, seed: int) -> Difference:
    _, first, strata = points_of_questions(one)
    second = points_of_questions(other)[1]
    types = [each.get("type", "") for each in strata]
    # The bootstrap is of shares from 0 to 1; differences run from -1 to 1.
    share = strata_bootstrap((first - second + 1) / 2, types, seed=seed)
    value, low, high = (2 * bound - 1 for bound in (share.value, share.low, share.high))
    return {"difference": value, "low": low, "high": high, "n": share.n}


_AGGREGATES = {"plain": _plain, "by_question": _by_question, "by_type": _by_type}


def _points(one: Sequence[Row], other: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.array([row["points"] for row in rows], np.float64) for rows in (one, other))
    return first, second


def _difference(one: np.ndarray, other: np.ndarray, names: Sequence[str], seed: int) -> Difference:
    if len(set(names)) < 2:  # of a single one nothing can be said beyond it
        return {"difference": float(np.mean(one - other)), "low": -1.0, "high": 1.0, "n": len(one)}
    return paired_difference(one, other, list(names), seed=seed).as_dict("difference")
