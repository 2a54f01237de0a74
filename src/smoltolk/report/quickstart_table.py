"""The results of a quick start as markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smoltolk.report import titles, wording
from smoltolk.report.comparison import compare
from smoltolk.report.markdown import escaped, table
from smoltolk.report.measures import measures
from smoltolk.report.results import (
    BASELINES,
    DIRECTIONS,
    KINDS,
    OUTCOMES,
    cell_of,
    is_declared,
    shown_systems,
    validate_results,
)
from smoltolk.report.task_table import shown_cell
from smoltolk.report.verdict import judge


def quickstart_markdown(results: Mapping[str, Any]) -> str:
    """The verdict, the outcomes that decide, every cell, and what else was measured; intervals are 95%.

    Raises:
        InputError: the results break their schema.
    """
    validate_results(results)
    verdict, systems = judge(results), shown_systems(results)
    parts = [
        "# Quick start",
        f"scale {results['scale']}, seed {results['seed']}",
        f"**{escaped(verdict.headline)}.** {escaped(verdict.statement)}",
        escaped(verdict.limits),
        "## Outcomes named before the run",
        "Facts only read, pairs of questions that are right, in %; differences in points.",
        _table(results, [(one.title, one.kind, one.direction) for one in OUTCOMES], pair=True),
        "## Every cell, in pairs of mirrored questions (* named before the run)",
        _table(results, _cells(marked=True), pair=True),
        "## Every cell, each question by itself",
        _table(results, _cells(), pair=False),
        "## The systems otherwise",
        table(["", *(titles.SYSTEM_TITLES[system] for system in systems)], list(map(_measure, measures(results)))),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(marked: bool = False) -> list[tuple[str, str, str]]:
    return [
        (titles.KIND_TITLES[kind] + " \\*" * (marked and is_declared(kind, way)), kind, way)
        for kind in KINDS
        for way in DIRECTIONS
    ]


def _table(results: Mapping[str, Any], cells: list[tuple[str, str, str]], pair: bool) -> str:
    systems = shown_systems(results)
    rows = []
    for title, kind, way in cells:
        gaps = [compare(results, kind, way, baseline, pair) for baseline in BASELINES]
        told = [[wording.points(value) for value in (gap.difference, gap.low, gap.high)] for gap in gaps]
        each = [cell_of(results, system, kind, way, pair) for system in systems]
        differences = (f"{value} [{low}, {high}]" for value, low, high in told)
        rows.append(
            [f"{title}, {escaped(wording.arrow(way))}", *map(shown_cell, each), *differences, str(each[0]["n"])]
        )
    heads = [titles.SYSTEM_TITLES[system] for system in systems]
    return table(["", *heads, *(f"late − {titles.SYSTEM_SHORT[baseline]}" for baseline in BASELINES), "n"], rows)


def _measure(row: Mapping[str, Any]) -> list[str]:
    cells = []
    for cell in row["cells"]:
        shown = "–" if cell["value"] is None else wording.measure(cell["value"], row["kind"])
        bounds = "" if cell["bounds"] is None else " [{}, {}]".format(*map(wording.percent, cell["bounds"]))
        cells.append(shown + bounds)
    return [row["title"], *cells]
