"""Several runs of ``smoltolk evaluate`` side by side, with what they differ by, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.files import read_jsonl
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.differences import other_items, run_differences
from smoltolk.evaluation.runs.judging import judge
from smoltolk.evaluation.runs.presets import rule_named
from smoltolk.evaluation.runs.records import Record, is_scored
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.overview.run import Run, damage_named
from smoltolk.report import schema
from smoltolk.report.sections import Picture, Section
from smoltolk.report.side_by_side import Compared, side_by_side
from smoltolk.report.task_plot import MOST_RUNS, runs_svg
from smoltolk.speech.recognition.error_rate import errors_in, rate_interval

Cells = Mapping[str, Any]
_RATES = {"wer": "words", "cer": "characters"}


def comparison_sections(runs: Sequence[Run]) -> list[Section]:
    """All that the first run shares with another one: by each task's first rule, and folded by the others.

    Raises:
        InputError: damaged records.
    """
    tasks = [name for name in runs[0].found["tasks"] if any(name in run.found["tasks"] for run in runs[1:])]
    each = [_compared(name, runs) for name in tasks]
    first = [found[0] for found in each if found]
    others = [one for found in each for one in found[1:]]
    names = [run.name for run in runs]
    chances = {name: runs[0].found["tasks"][name]["chance"] for name in tasks}
    first += [*_rates(runs), *_texts(runs)]
    sections = []
    if first:
        pictures: tuple[Picture, ...] = ()
        if chances and 1 < len(runs) <= MOST_RUNS:
            title = "Accuracy of each run by its first rule, with 95% intervals; dashed: chance."
            pictures = (Picture("side-by-side", title, runs_svg(names, first, chances)),)
        sections.append(Section("Evaluations side by side", "", side_by_side(names, first), pictures))
    if others:
        sections.append(Section("Side by side by other rules", "", side_by_side(names, others), folded=True))
    return sections


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


def _rates(runs: Sequence[Run]) -> list[Compared]:
    """Error rates of recognition and synthesis; of the same texts what they differ by."""
    found = [run.found.get("transcription", {}) for run in runs]
    compared = []
    for name in (name for name in found[0] if any(name in one for one in found[1:])):
        records = [_records(run, name) if name in one else None for run, one in zip(runs, found, strict=True)]
        cells = [_rate_cells(one[name]) if name in one else None for one in found]
        differences: list[Cells] = []
        notes = []
        for number in range(1, len(runs)):
            one, other = records[0], records[number]
            differences.append({})
            if cells[number] is None:
                continue
            reason = "records are not there" if one is None or other is None else other_items(one, other)
            if one is not None and other is not None and reason is None:
                with damage_named(runs[number].place / f"{name}.jsonl"):
                    differences[-1] = _rate_differences(one, other, runs[0].found["seed"])
            else:
                notes.append(f"no difference of {runs[number].name} to {runs[0].name}: {reason}")
        compared.append(
            Compared(name, f"{found[0][name]['about']} (lower is better)", "jiwer", cells, differences, notes)
        )
    return compared


def _rate_cells(task: Mapping[str, Any]) -> Cells:
    return {
        rate.upper(): {
            "accuracy": task[rate]["value"],
            "low": task[rate]["low"],  # None: of a single recording
            "high": task[rate]["high"],
            "n": task[rate]["n"],
        }
        for rate in _RATES
    }


def _rate_differences(one: Sequence[Record], other: Sequence[Record], seed: int) -> Cells:
    """``other - one``, by bootstrap over the utterances that both have; nothing where they have none."""
    first = {record["id"]: record for record in one if record["error"] is None}
    second = {record["id"]: record for record in other if record["error"] is None}
    shared = [name for name in first if name in second]
    errors = [
        [errors_in(each[name]["reference"], each[name]["hypothesis"]) for name in shared] for each in (first, second)
    ]
    found = {}
    for rate, of in _RATES.items():
        sizes = np.array([getattr(error, of) for error in errors[0]])
        counts = [np.array([getattr(error, f"{of.removesuffix('s')}_errors") for error in each]) for each in errors]
        gap = counts[1] - counts[0]
        if not sizes.sum():
            continue
        low, high = rate_interval(gap, sizes, seed) if len(shared) > 1 else (None, None)
        found[rate.upper()] = {"difference": float(gap.sum() / sizes.sum()), "low": low, "high": high, "n": len(shared)}
    return found


def _texts(runs: Sequence[Run]) -> list[Compared]:
    """Accuracies of text tasks as lm-evaluation-harness tells them, with its standard errors."""
    found = [run.found.get("text", {}) for run in runs]
    compared = []
    for name in (name for name in found[0] if any(name in one for one in found[1:])):
        cells = [_text_cells(one[name]["after"]) if name in one else None for one in found]
        nothing: list[Cells] = [{} for _ in runs[1:]]
        compared.append(Compared(f"text/{name}", "what is left of text", "lm-eval", cells, nothing, ()))
    return compared


def _text_cells(scores: Mapping[str, float]) -> Cells:
    cells = {}
    for metric in (key for key in scores if key.startswith("acc") and not key.endswith("_stderr")):
        value, spread = scores[metric], 1.96 * scores.get(f"{metric}_stderr", 0.0)
        low, high = max(value - spread, 0.0), min(value + spread, 1.0)
        cells[metric] = {"accuracy": value, "low": low, "high": high, "n": int(scores.get("sample_len", 0))}
    return cells
