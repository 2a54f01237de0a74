"""Directories as the verbs leave them, made without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.files import write_json, write_jsonl
from smoltolk.evaluation.runs.presets import rule_named
from smoltolk.evaluation.runs.records import Record, nats, record_of
from smoltolk.evaluation.runs.results import beside, head_of, task_results
from smoltolk.evaluation.tasks.items import Item, Segment
from smoltolk.evaluation.tasks.names import TASKS

RIGHTS = {"a": [1, 1, 1, 0, 0, 0], "b": [1, 1, 1, 1, 1, 0]}  # which questions each run has right


def _records_of(rights: Sequence[int], task: str = "choices", cell: str = "S->T") -> list[Record]:
    """A record for each question: the other option has 2 nats, the right one 1 where the question is right, else 3."""
    records = []
    for number, is_right in enumerate(rights):
        prompt = () if task == "salmon" else ((Segment("Heard."),),)
        strata = {"type": f"type {number % 2}"} if task == "salmon" else {}
        item = Item(f"q{number}", cell, prompt, ((Segment("Yes."),), (Segment("No."),)), strata=strata)
        right = 1.0 if is_right else 3.0
        scores = {"nll": [[nats([right, right]), nats([2.0, 2.0])]], "before": [[nats([1.0])]], "end": [[[], []]]}
        records.append(record_of(item) | scores)
    return records


def _write_run(place: Path, records: dict[str, list[Record]], model: str = "model", seed: int = 0) -> Path:
    """A finished run of ``evaluate``."""
    rule = rule_named("ours")
    feed = rule.feed
    about: dict[str, Any] = {
        "version": "0.1.0", "model": {"name": model, "fingerprint": f"{model}-0123456789abcdef"}, "units": None,
        "seed": seed, "limit": None, "precision": "float32", "rule": "ours", "notes": {},
        "feeds": {task: {row["shape"]: feed.as_dict() for row in rows} for task, rows in records.items()},
    }  # fmt: skip
    write_json(place / "run.json", {"command": {"verb": "evaluate"}, **about})
    tasks = {}
    for task, rows in records.items():
        write_jsonl(place / f"{task}.jsonl", rows)
        feeds = {row["shape"]: feed for row in rows}
        tasks[task] = task_results(TASKS[task], rows, beside(rule), feeds, seed=seed, run=str(place))
    write_json(place / "results.json", head_of(about) | {"tasks": tasks})
    return place


@pytest.fixture
def two_runs(tmp_path: Path) -> list[Path]:
    """Of two models that answered the same six questions."""
    return [_write_run(tmp_path / name, {"choices": _records_of(rights)}, name) for name, rights in RIGHTS.items()]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """``make_run("name", {"choices": records})``."""
    return lambda name, records, **about: _write_run(tmp_path / name, records, **about)


@pytest.fixture
def records_of() -> Callable[..., list[Record]]:
    """``records_of([1, 0, 1], cell="S->T")``."""
    return _records_of
