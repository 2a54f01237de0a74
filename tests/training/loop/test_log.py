"""A log that is cut anywhere goes on as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.training.loop.log import RunLog

KINDS = st.sampled_from(["train", "held_out"])
RUNS = st.lists(st.tuples(st.integers(0, 3), KINDS, st.floats(allow_nan=True)), min_size=1, max_size=12)


def entries_of(run: list[tuple[int, str, float]]) -> list[dict]:
    step, entries = 1, []
    for ahead, kind, value in run:
        step += ahead
        entries.append({"step": step, "kind": kind, "loss": value, "stage": "é"})
    return entries


@given(run=RUNS, data=st.data())
def test_a_log_that_is_cut_anywhere_goes_on(
    run: list, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    entries = entries_of(run)
    whole, cut = RunLog(folder / "whole.jsonl"), RunLog(folder / "cut.jsonl")
    for entry in entries:
        whole.append(entry)
    expected = whole.path.read_bytes()
    # A kill at any byte, then a checkpoint whose lines had all been written.
    at = data.draw(st.integers(0, len(expected)))
    cut.path.write_bytes(expected[:at])
    written = [entry["step"] for entry in cut]
    checkpoint = data.draw(
        st.sampled_from(
            [0, *(step for step in written if written.count(step) == [e["step"] for e in entries].count(step))]
        )
    )
    kept = cut.continue_at(checkpoint)
    assert all(entry["step"] <= checkpoint for entry in kept)
    for entry in entries:
        if entry["step"] > checkpoint:
            cut.append(entry)
    assert cut.path.read_bytes() == expected


def test_numbers_that_are_none_are_null_and_other_lines_are_left_out(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.append({"step": 1, "kind": "train", "loss": float("nan"), "grad_norm": float("inf")})
    with log.path.open("ab") as file:
        file.write(b"\0\0\0\n[1]\n{}\n" + json.dumps({"step": 2}).encode())
    assert list(log) == [{"step": 1, "kind": "train", "loss": None, "grad_norm": None}]
    log.continue_at(1)
    assert log.path.read_text().count("\n") == 1


def test_there_is_no_log_yet(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "deep" / "log.jsonl")
    assert list(log) == [] and log.continue_at(0) == []
    assert log.path.read_bytes() == b""
