"""Runs of ``smoltolk evaluate``: each by itself, and several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.files import read_jsonl
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.differences import other_items, run_differences
from smoltolk.evaluation.runs.judging import judge
from smoltolk.evaluation.runs.presets import rule_named
from smoltolk.evaluation.runs.records import Record, is_scored
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.overview.run import Run, damage_named, sounds_of
from smoltolk.report import schema
from smoltolk.report.sections import Picture, Section
from smoltolk.report.side_by_side import Compared, side_by_side
from smoltolk.report.task_plot import task_svg
from smoltolk.report.task_table import task_markdown

Cells = Mapping[str, Any]
_RESULTS = schema.keys(
    model=schema.keys(name=schema.text, fingerprint=schema.text),
    version=schema.text,
    precision=schema.text,
    seed=schema.number(whole=True),
    tasks=schema.keys(),
)
_CELL = schema.inside("accuracy", 0, 1)


def evaluation_section(run: Run) -> Section:
    """A run by itself.

    Raises:
        InputError: its results are damaged.
    """
    place = run.place / "results.json"
    with damage_named(place):
        _check(run.found)
        text = task_markdown(run.found)
        svg = task_svg(run.found) if run.found["tasks"] else None
    title = "Accuracy of each task, with 95% intervals; dashed: chance, diamonds: published."
    pictures = () if svg is None else (Picture("accuracy", title, svg),)
    return Section(f"Evaluation: {run.name}", str(run.place), text, pictures, sounds_of(run))


def comparison_section(runs: Sequence[Run]) -> Section | None:
    """All tasks that the first run shares with another one; None where there are none.

    Raises:
        InputError: damaged records.
    """
    tasks = [name for name in runs[0].found["tasks"] if any(name in run.found["tasks"] for run in runs[1:])]
    compared = [one for name in tasks for one in _compared(name, runs)]
    if not compared:
        return None
    return Section("Evaluations side by side", "", side_by_side([run.name for run in runs], compared))


def _check(results: Any) -> None:
    _RESULTS(results, "")
    for name, task in results["tasks"].items():
        for rule, found in task["rules"].items():
            for cell, value in found["cells"].items():
                _CELL(value, f"tasks.{name}.rules.{rule}.cells.{cell}")


def _compared(name: str, runs: Sequence[Run]) -> list[Compared]:
    """A task by every rule that two runs were judged by, the first one among them."""
    tasks = [run.found["tasks"].get(name) for run in runs]
    records = [None if task is None else _records(run, name) for run, task in zip(runs, tasks, strict=True)]
    found = []
    for rule in tasks[0]["rules"]:
        cells = [None if task is None else task["rules"].get(rule, {}).get("cells") for task in tasks]
        if not any(cells[1:]):
            continue
        differences: list[Cells] = []
        notes = []
        for number in range(1, len(runs)):
            differences.append({})
            if cells[number] is None:
                continue
            reason = _apart(tasks[0], tasks[number], rule, records[0], records[number])
            if reason is None:
                with damage_named(runs[number].place / f"{name}.jsonl"):
                    named = rule_named(rule) if name in TASKS else None
                    one, other = records[0] or (), records[number] or ()
                    differences[-1] = run_differences(name, one, other, named, runs[0].found["seed"])
            else:
                notes.append(f"no difference of {runs[number].name} to {runs[0].name}: {reason}")
        found.append(Compared(name, tasks[0]["about"], rule, cells, differences, notes))
    return found


def _apart(
    one: Mapping[str, Any], other: Mapping[str, Any], rule: str,
    first: Sequence[Record] | None, second: Sequence[Record] | None,
) -> str | None:  # fmt: skip
    """Why two runs have no paired difference; None: they have one."""
    if first is None or second is None:
        return f"the records of {'the first run' if first is None else 'the run'} are not there"
    if one["rules"][rule]["rule"] != other["rules"][rule]["rule"]:
        return "the rule of this name was another one"
    if one.get("feeds") != other.get("feeds"):
        return "the models were fed otherwise"
    return other_items(first, second)


def _records(run: Run, task: str) -> list[Record] | None:
    """Of a task; where a run was judged again inside its directory, they lie two folders above."""
    for folder in (run.place, *(run.place.parents[1:2] if run.place.parent.name == "again" else ())):
        path = folder / f"{task}.jsonl"
        if path.is_file():
            return _checked(list(read_jsonl(path)), path, task)
    return None


def _checked(records: list[Record], path: Path, task: str) -> list[Record]:
    keys = ("id", "error", "nll", "cell", "shape", "cluster", "options") if task in TASKS else ("id", "error")
    with damage_named(path):
        for number, record in enumerate(records):
            schema.keys(**dict.fromkeys(keys, _anything))(record, f"[{number}]")
            if task in TASKS and is_scored(record):
                counts = {len(options) for options in record["nll"]}
                if counts != {len(record["options"])}:
                    raise schema.failure(f"[{number}].nll", "a list for each option", record["nll"])
        if task in TASKS:
            judge(records, Rule())  # numbers are numbers
    return records


def _anything(value: Any, path: str) -> None:
    """Held against nothing."""
