"""Two-way choices about stories and facts: what stands before their options, and what their points come to.

An option's score is the mean over the recordings of its prompt. A question counts **single**, by its own two options,
and as a **pair** with its mirror image, where the same two options compete and the other one is right: the two margins
are added, so that what a model thinks of an answer in any case cancels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.intervals import Interval, choice_outcomes, cluster_bootstrap, paired_difference
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.rules import Rule
from smoltolk.model.ids import IdSpace

Record = dict[str, Any]


def prompts(item: SpokenCloze, direction: str, space: IdSpace) -> list[Document]:
    """What stands before the options, ``<switch>`` included, once for each recording of a spoken prompt.

    Args:
        item: the question.
        direction: modality of the prompt ``->`` modality of the option.
        space: the id space.
    """
    if direction[0] == "S":
        documents = [Document(space).speech(units) for units in item.spoken_prompts]
    else:
        documents = [Document(space).text(item.prompt_tokens)]
    return documents if direction[0] == direction[-1] else [document.switch() for document in documents]


def cell_of(rows: list[Record], rule: Rule, seed: int) -> dict[str, Any]:
    """Accuracy of some records with its interval, single and (if each has its mirror image) as pairs.

    Args:
        rows: with ``id``, ``fact``, ``rival``, ``mirror``, ``points`` and ``margin``.
        rule: what a tie is worth.
        seed: of the bootstrap.
    """
    cell: dict[str, Any] = _bootstrap(rows, _column(rows, "points"), seed).as_dict("accuracy")
    pairs = _paired(rows)
    if pairs:
        cell["pair"] = _bootstrap(pairs, _pair_points(pairs, rule), seed).as_dict("accuracy")
    return cell


def judged(rows: list[Record], rule: Rule) -> tuple[list[Record], np.ndarray]:
    """What a cell's accuracy is a mean of: pairs of mirror images where each question has one, else questions.

    Args:
        rows: of one kind and direction.
        rule: what a tie is worth.

    Returns:
        the items, with their ``id``, ``fact`` and ``rival``, and their points, float64 [n].
    """
    pairs = _paired(rows)
    return (pairs, _pair_points(pairs, rule)) if pairs else (rows, _column(rows, "points"))


def _paired(rows: list[Record]) -> list[Record]:
    """One record for each two questions that mirror each other, with both of their margins; none if one is alone.

    Nor of a single pair, which has no interval.
    """
    by_id = {row["id"]: row for row in rows}
    if len(rows) < 4 or any(row.get("mirror") not in by_id for row in rows):
        return []
    pairs = []
    for row in rows:
        other = by_id[row["mirror"]]
        if row["id"] < other["id"]:
            pairs.append({**row, "margin": row["margin"] + other["margin"]})
    return pairs


def _pair_points(pairs: list[Record], rule: Rule) -> np.ndarray:
    margins = _column(pairs, "margin")
    return choice_outcomes(np.where(np.abs(margins) < 1e-9, 0.0, -margins), np.zeros(len(margins)), rule.ties)


def _bootstrap(rows: list[Record], values: np.ndarray, seed: int) -> Interval:
    return cluster_bootstrap(values, _column(rows, "fact"), seed=seed, rivals=_column(rows, "rival"))


def _column(rows: list[Record], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def difference_of(one: list[Record], other: list[Record], rule: Rule, seed: int, name: str) -> dict[str, Any]:
    """What two systems differ by in one cell, single and as pairs.

    Args:
        one, other: records of the same questions in the same order.
        rule, seed: as for :func:`cell_of`.
        name: of the cell, for the message.

    Raises:
        InputError: other questions.
    """
    if [row["id"] for row in one] != [row["id"] for row in other]:
        raise InputError(
            "a paired difference needs the same questions in the same order",
            f"{len(one)} and {len(other)} questions of {name}, or other ones",
            "evaluate both systems on the same list",
        )
    found: dict[str, Any] = _difference(one, _column(one, "points"), _column(other, "points"), seed)
    pairs, others = _paired(one), _paired(other)
    if pairs:
        found["pair"] = _difference(pairs, _pair_points(pairs, rule), _pair_points(others, rule), seed)
    return found


def _difference(rows: list[Record], first: np.ndarray, second: np.ndarray, seed: int) -> dict[str, float]:
    facts, rivals = _column(rows, "fact"), _column(rows, "rival")
    return paired_difference(first, second, facts, rivals=rivals, seed=seed).as_dict("difference")
