"""Several runs of ``smoltolk evaluate`` in one table: accuracies, and what each differs by from the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smoltolk.report.markdown import escaped, table
from smoltolk.report.task_table import shown_cell
from smoltolk.report.titles import cell_title
from smoltolk.report.wording import points


@dataclass(frozen=True, slots=True)
class Compared:
    """One task by one rule.

    Attributes:
        task, about, rule: as in results; ``cells`` of each run, None of a run that did not ask it.
        differences: of each run but the first to the first one, by cell; empty where there can be none.
        notes: why there is none, e.g. other items.
    """

    task: str
    about: str
    rule: str
    cells: Sequence[Mapping[str, Any] | None]
    differences: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = field(default_factory=tuple)


def side_by_side(names: Sequence[str], compared: Sequence[Compared]) -> str:
    """The tables as markdown.

    Args:
        names: of the runs, in order; the first is what the others are compared with.
        compared: every task that two of them have, by each rule that these have.
    """
    parts = [
        "# Side by side",
        "Accuracy in % with its 95% interval by bootstrap. Differences are in points, of each run minus the first one"
        f" ({escaped(names[0])}), paired by item, with 95% intervals; one that holds zero decides nothing."
        " n counts what is averaged in the difference, or in the first accuracy where there is none.",
    ]
    for one in compared:
        parts.append(f"## {escaped(one.task)}: {escaped(one.about)}, by `{one.rule}`")
        parts.append(_of_task(names, one))
        parts += [f"- {escaped(note)}" for note in one.notes]
    return "\n\n".join(parts) + "\n"


def _of_task(names: Sequence[str], one: Compared) -> str:
    cells = dict.fromkeys(cell for found in one.cells if found is not None for cell in found)
    rows = []
    for cell in cells:
        each = [None if found is None else found.get(cell) for found in one.cells]
        gaps = [found.get(cell) for found in one.differences]
        title = escaped(cell_title(cell))
        rows.append([title, *_row(each, gaps)])
        pairs = [found.get("pair") if found else None for found in each]
        if any(pairs):
            rows.append([f"{title}, in pairs", *_row(pairs, [gap.get("pair") if gap else None for gap in gaps])])
    heads = ["", "n", *names, *(f"{name} − {names[0]}" for name in names[1:])]
    return table(heads, rows)


def _row(cells: Sequence[Mapping[str, Any] | None], gaps: Sequence[Mapping[str, Any] | None]) -> list[str]:
    told = [found for found in (*gaps, *cells) if found]
    shown = ["" if cell is None else shown_cell(cell) for cell in cells]
    return [str(told[0]["n"]) if told else "", *shown, *("" if gap is None else shown_gap(gap) for gap in gaps)]


def shown_gap(gap: Mapping[str, Any]) -> str:
    """``+3.1 [−0.4, +6.5]``; without bounds where there are none."""
    bounds = "" if gap["low"] is None else f" [{points(gap['low'])}, {points(gap['high'])}]"
    return points(gap["difference"]) + bounds
