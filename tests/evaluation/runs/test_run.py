"""A run directory that several processes begin, and one that was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_jsonl
from smoltolk.evaluation.runs.run import gather, open_run


def test_a_directory_with_other_files_is_refused_by_the_first_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        open_run(tmp_path, {"verb": "evaluate"}, {})
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="something else"):
        open_run(tmp_path, {"verb": "evaluate"}, {})
    assert not (tmp_path / "run.json").exists()


def test_the_second_process_may_be_the_quicker_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    open_run(tmp_path, {"verb": "evaluate"}, {})
    assert not (tmp_path / "run.json").exists()
    write_jsonl(tmp_path / ".tsc" / "00001.jsonl", [{"id": "b"}])
    (tmp_path / "said").mkdir()
    monkeypatch.setenv("RANK", "0")
    open_run(tmp_path, {"verb": "evaluate"}, {})
    assert (tmp_path / "run.json").exists()


def test_other_tasks_are_named_and_nothing_else(tmp_path: Path) -> None:
    world, more = ({"verb": "evaluate", "tasks": tasks, "items": dict.fromkeys(tasks, "f00d")} for tasks in (
        ["world"], ["world", "sblimp"]))  # fmt: skip
    open_run(tmp_path, world, {})
    with pytest.raises(InputError, match="tasks were world, are world sblimp") as caught:
        open_run(tmp_path, more, {})
    assert "f00d" not in str(caught.value) and "name all tasks in one command, or another --out" in str(caught.value)


def test_parts_go_even_if_a_run_was_killed_behind_them(tmp_path: Path) -> None:
    write_jsonl(tmp_path / ".tsc" / "00000.jsonl", [{"id": "a"}])
    write_jsonl(tmp_path / "tsc.jsonl", [{"id": "a"}])
    assert gather(tmp_path, "tsc", 1) == [{"id": "a"}] and not (tmp_path / ".tsc").exists()
