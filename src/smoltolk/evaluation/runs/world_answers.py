"""A story world's questions put to a model in memory, and what two models differ by: the quick start's tables.

Asked, recorded and judged as ``smoltolk evaluate MODEL world`` does; only the run directory is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.aggregates import cells_of
from smoltolk.evaluation.runs.asking import Asking
from smoltolk.evaluation.runs.differences import other_items, run_differences
from smoltolk.evaluation.runs.judging import judge
from smoltolk.evaluation.runs.presets import PRESETS, NamedRule
from smoltolk.evaluation.runs.records import Record, failures
from smoltolk.evaluation.tasks.world import WORLD, world_items
from smoltolk.report.results import DIRECTIONS

Cells = dict[str, dict[str, Any]]  # by kind of question and direction
RULE: NamedRule = PRESETS["ours"]
_AT_ONCE = 2048  # items, between two reports of progress


def answers_of(
    model: nn.Module,
    questions: Sequence[SpokenCloze],
    *,
    directions: Sequence[str] = DIRECTIONS,
    progress: Bar | None = None,
    **settings: Any,
) -> list[Record]:
    """A record for each question and direction.

    Args:
        model: a SmolTolk model.
        questions: of one kind or several, joined with their recordings.
        directions: which of the four.
        progress: advanced by the records.
        settings: ``batch_tokens`` and ``autocast`` of :class:`~smoltolk.evaluation.runs.asking.Asking`.

    Raises:
        InputError: a question that could not be scored.
    """
    items = world_items(list(questions), tuple(directions))
    # Texts are cut into tokens already; of prompts nothing is asked.
    asking = Asking(model, None, model.config.id_space, keep_prompts=False, **settings)  # type: ignore[union-attr, arg-type]
    records: list[Record] = []
    for start in range(0, len(items), _AT_ONCE):
        records += asking.ask(items[start : start + _AT_ONCE], RULE.feed, progress=progress)
    failed = failures(records)
    if failed:
        reason = next(iter(failed))
        raise InputError("every question of a world is scored", f"{sum(failed.values())} were not: {reason}", "see why")
    return records


def world_cells(records: Sequence[Record], seed: int, rule: Rule = RULE.rule) -> Cells:
    """``{kind: {direction: {"accuracy", "low", "high", "n", "pair": {the same four}}}}``; intervals are over facts.

    Args:
        records: of :func:`answers_of`.
        seed: of the bootstrap.
        rule: by which likelihoods become points.
    """
    return _by_kind(cells_of(judge(records, rule), WORLD.aggregate, rule, seed))


def world_differences(first: Sequence[Record], second: Sequence[Record], seed: int) -> Cells:
    """``first - second`` in every cell, paired by question, as :func:`world_cells` has them.

    Raises:
        InputError: the two were not asked the same questions.
    """
    other = other_items(first, second)
    if other is not None:
        fix = "evaluate both systems on the same list"
        raise InputError("a paired difference needs the same questions", other, fix)
    return _by_kind(run_differences(WORLD.name, second, first, RULE, seed))


def of_cell(records: Sequence[Record], kind: str, direction: str) -> list[Record]:
    """Those of one kind of question in one direction."""
    return [record for record in records if record["cell"] == f"{kind} {direction}"]


def _by_kind(cells: dict[str, dict[str, Any]]) -> Cells:
    found: Cells = {}
    for name, cell in cells.items():
        kind, way = name.split(" ")
        found.setdefault(kind, {})[way] = cell
    return found
