"""Tuning on the command line: a killed run ends as if it had not been killed, and two processes train what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from smoltolk.common.files import read_json
from smoltolk.inference.parts import load_model
from smoltolk.training.loop.log import RunLog

PROCESS = Path(__file__).parent.parent / "processes" / "command.py"
OFTEN = "SMOLTOLK_KILLS" in os.environ
LORAS = [("--lora", "r=4"), *([()] if OFTEN else [])]
pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(talking: Path, phone_units_dir: Path, tmp_path: Path) -> Run:
    """``run("tune", rows, out, 2, "--lora", "r=4", KILLED_AT="tune:5")``: in two processes."""

    def start(verb: str, rows: Path, out: Path, processes: int = 1, *more: str, **environment: str) -> object:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        options = ["--units", phone_units_dir, "--steps", 6, "--rows-per-step", 2, "--logger", "none", *more]
        line = [sys.executable, *(launcher if processes > 1 else ()), PROCESS, verb, talking, rows, out, *options]
        known = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "SMOLTOLK_CACHE": str(tmp_path / "cache")}
        return subprocess.run(
            list(map(str, line)), env={**os.environ, **known, **environment}, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip

    return start  # type: ignore[return-value]


def assert_same(found: Path, expected: Path, atol: float = 0.0, names: Sequence[str] = ("loss", "grad_norm")) -> None:
    """Weights, and the numbers of the log."""
    models = [load_model(path)[0].state_dict() for path in (found, expected)]
    for name, value in models[0].items():
        torch.testing.assert_close(value, models[1][name], rtol=0, atol=atol, msg=name)
    histories = [read_json(path / "training.json")["history"] for path in (found, expected)]
    logs = [[line for line in RunLog(path / "log.jsonl") if line["kind"] == "train"] for path in (found, expected)]
    for one, other in (histories, logs):
        assert [line["step"] for line in one] == [line["step"] for line in other] == list(range(1, 7))
        for name in names:
            told = [pytest.approx(line[name], rel=1e-4 if atol else 0, abs=0) for line in other]
            assert [line[name] for line in one] == told, name
    assert sorted(path.name for path in found.parent.iterdir() if path.name.startswith(found.name)) == [found.name]


def assert_killed_and_shared(verb: str, run: Run, rows: Path, folder: Path, more: Sequence[str]) -> None:
    """Killed in one process, gone on with in two; at `make kills` also in one, then the same to the bit."""
    alone = folder / "alone"
    done = run(verb, rows, alone, 1, *more)
    assert done.returncode == 0, done.stderr
    for processes in (1, 2) if OFTEN else (2,):
        out = folder / f"killed-{processes}"
        assert run(verb, rows, out, 1, *more, KILLED_AT=f"{verb}:4").returncode == -9
        assert [path.name for path in (folder / f"{out.name}.work" / verb).glob("checkpoint-*")] == ["checkpoint-2"]
        done = run(verb, rows, out, processes, *more)
        assert done.returncode == 0, done.stderr
        assert_same(out, alone, 0.0 if processes == 1 else 2e-5)
        assert done.stdout.count("trained") == 1
        assert "FutureWarning" not in done.stderr and "find_unused" not in done.stderr, done.stderr


@pytest.mark.parametrize("lora", LORAS)
def test_tuning(lora: tuple[str, ...], run: Run, dialogues: Path, tmp_path: Path) -> None:
    assert_killed_and_shared("tune", run, dialogues, tmp_path, lora)


@pytest.mark.parametrize("lora", LORAS)
def test_preferring(lora: tuple[str, ...], run: Run, preferences: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="the extra 'trl', see `make more`")
    assert_killed_and_shared("prefer", run, preferences, tmp_path, lora)


@pytest.mark.skipif(not OFTEN, reason="`make kills`")
@pytest.mark.parametrize("verb", ["tune", "prefer"])
def test_a_signal_costs_no_step_and_no_number(
    verb: str, run: Run, dialogues: Path, preferences: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trl", reason="the extra 'trl', see `make more`")
    rows, known = {"tune": dialogues, "prefer": preferences}[verb], {"SAVE_STEPS": "100", "LOG_STEPS": "4"}
    done = run(verb, rows, tmp_path / "stopped", STOPPED_AT=f"{verb}:3", **known)
    assert done.returncode == 143 and f"step 3 of 6 of {verb} is kept as a checkpoint" in done.stderr, done.stderr
    done = run(verb, rows, tmp_path / "stopped", **known)
    assert done.returncode == 0 and f"goes on from step 3 of 6 of {verb}" in done.stderr, done.stderr
    assert run(verb, rows, tmp_path / "alone", **known).returncode == 0
    histories = [read_json(tmp_path / name / "training.json")["history"] for name in ("stopped", "alone")]
    told = [[{key: value for key, value in line.items() if key != "num_tokens"} for line in one] for one in histories]
    assert told[0] == told[1] and len(told[0]) == 2
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("stopped", "alone")]
    assert weights[0] == weights[1]
