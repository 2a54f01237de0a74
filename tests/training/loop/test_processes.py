"""Two processes share the validation, write one log, and train what they train without it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.loop.log import RunLog

PROCESS = Path(__file__).parent.parent / "processes" / "command.py"
pytestmark = pytest.mark.slow


def train(number: int, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in so many processes, a row a pass."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(number), "--master-port", port]
    options = ("--steps", 8, "--row-length", 96, "--rows-per-step", 4, "--device-rows", 1, "--logger", "none")
    mixture = ("--mixture", "speech=1,interleaved=1", "--stage1-mixture", "speech=1,interleaved=1")
    return subprocess.run(
        [sys.executable, *launcher, str(PROCESS), "train", *map(str, (*arguments, *options, *mixture))],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        text=True, capture_output=True, timeout=300,
    )  # fmt: skip


def held_out(model: Path) -> dict[int, dict[str, float]]:
    """Numbers of each validation by its step, which is there once."""
    lines = [line for line in RunLog(model / "log.jsonl") if line["kind"] == "held_out"]
    assert len({line["step"] for line in lines}) == len(lines)
    return {line["step"]: {name: v for name, v in line.items() if isinstance(v, float)} for line in lines}


VALIDATED = ("--eval-steps", 3, "logging.eval_rows=3", "logging.milestones=[6]")


@pytest.fixture(scope="module")
def one(backbone: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process leaves."""
    out = tmp_path_factory.mktemp("one") / "model"
    done = train(1, backbone, shards_dir, out, *VALIDATED)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("sharded", ["", "1"])
def test_two_processes_validate_what_one_does(
    one: Path, backbone: Path, shards_dir: Path, tmp_path: Path, sharded: str
) -> None:
    # The same rows are held out of both, and looked at at the end of a stage only.
    runs = {"two": VALIDATED, "unseen": ("--eval-steps", 1000, "logging.eval_rows=3")}
    for name, options in runs.items():
        done = train(2, backbone, shards_dir, tmp_path / name, *options, SHARDED=sharded)
        assert done.returncode == 0, done.stderr
    expected, found = held_out(one), held_out(tmp_path / "two")
    assert list(found) == list(expected) and len(found) >= 4
    for step, figures in found.items():
        assert figures == pytest.approx(expected[step], rel=2e-3), step
    weights = [SmolTolkForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in runs]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert (tmp_path / "two" / "best" / "kept.json").is_file()
    kept = [SmolTolkForCausalLM.from_pretrained(out / "milestones" / "000006") for out in (one, tmp_path / "two")]
    for name, value in kept[0].state_dict().items():
        assert torch.allclose(value, kept[1].state_dict()[name], atol=2e-3), name


def test_a_process_that_is_killed_goes_on_with_the_same_log(
    one: Path, backbone: Path, shards_dir: Path, tmp_path: Path
) -> None:
    again = (1, backbone, shards_dir, tmp_path / "model", *VALIDATED)
    assert train(*again, KILLED_AT="stage2:6").returncode != 0  # its last whole checkpoint is of step 4
    left = RunLog(tmp_path / "model.work" / "record" / "log.jsonl")
    assert max(line["step"] for line in left) == 6  # one step of stage 1, and five
    done = train(*again)
    assert done.returncode == 0, done.stderr
    expected, found = (list(RunLog(out / "log.jsonl")) for out in (one, tmp_path / "model"))
    assert [(line["step"], line["kind"]) for line in found] == [(line["step"], line["kind"]) for line in expected]
    for line, other in zip(found, expected, strict=True):
        names = [name for name in line if "loss" in name or "nll" in name or "norm" in name]
        assert {name: line[name] for name in names} == {name: other[name] for name in names}
    state, other = (SmolTolkForCausalLM.from_pretrained(out).state_dict() for out in (one, tmp_path / "model"))
    assert all(torch.equal(value, other[name]) for name, value in state.items())
