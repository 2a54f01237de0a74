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


def train(number: int, *arguments: object, killed_at: int = 0) -> subprocess.CompletedProcess[str]:
    """The command line in so many processes, a row a pass."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(number), "--master-port", port]
    options = ("--steps", 8, "--row-length", 96, "--rows-per-step", 4, "--device-rows", 1, "--logger", "none")
    mixture = ("--mixture", "speech=1,interleaved=1", "--stage1-mixture", "speech=1,interleaved=1")
    return subprocess.run(
        [sys.executable, *launcher, str(PROCESS), "train", *map(str, (*arguments, *options, *mixture))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "KILLED_AT": str(killed_at)},
        text=True, capture_output=True, timeout=300,
    )  # fmt: skip


def held_out(model: Path) -> dict[int, dict[str, float]]:
    """Numbers of each validation by its step, which is there once."""
    lines = [line for line in RunLog(model / "log.jsonl") if line["kind"] == "held_out"]
    assert len({line["step"] for line in lines}) == len(lines)
    return {line["step"]: {name: v for name, v in line.items() if isinstance(v, float)} for line in lines}


def test_two_processes_validate_what_one_does(backbone: Path, shards_dir: Path, tmp_path: Path) -> None:
    split = (backbone, shards_dir)
    validated = ("--eval-steps", 3, "logging.eval_rows=3", "logging.milestones=[6]")
    runs = {
        "one": (1, *validated),
        "two": (2, *validated),
        "unseen": (
            2,
            "--eval-steps",
            1000,
            "logging.eval_rows=3",
        ),  # the same rows are held out, and looked at at the end
    }
    for name, (number, *options) in runs.items():
        done = train(number, *split, tmp_path / name, *options)
        assert done.returncode == 0, done.stderr
    one, two = held_out(tmp_path / "one"), held_out(tmp_path / "two")
    assert list(one) == list(two) and len(one) >= 4
    for step, figures in two.items():
        assert figures == pytest.approx(one[step], rel=2e-3), step
    weights = [SmolTolkForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("two", "unseen")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert (tmp_path / "two" / "best" / "kept.json").is_file()
    assert SmolTolkForCausalLM.from_pretrained(tmp_path / "two" / "milestones" / "000006").config.num_units
