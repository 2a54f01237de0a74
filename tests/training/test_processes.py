"""Two processes train what one trains, and a run killed in one form goes on in the other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from smoltolk.common.files import read_json
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.changes import Changes, parse_mixture
from smoltolk.training.job import TrainingJob
from smoltolk.training.presets import PRESETS
from smoltolk.training.recipes.positional import positional_recipe

PROCESS = Path(__file__).parent / "processes" / "command.py"
STEPS, LENGTH, ROWS, MIXTURE = 24, 96, 4, "speech=1,interleaved=1"
pytestmark = pytest.mark.slow


def two(*arguments: object, killed_at: int = 0) -> subprocess.CompletedProcess[str]:
    """The command line in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port, str(PROCESS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "KILLED_AT": str(killed_at)}
    return subprocess.run(
        [sys.executable, *launcher, *map(str, arguments)], env=environment, text=True, capture_output=True, timeout=300
    )


@pytest.fixture
def train_in_two(backbone: Path, shards_dir: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``train_in_two(out, killed_at=9)``: a row a pass."""
    options = ["--steps", STEPS, "--row-length", LENGTH, "--rows-per-step", ROWS, "--device-rows", 1]
    return lambda out, **more: two(
        "train", backbone, shards_dir, out, *options, "--stage1-mixture", MIXTURE, **more
    )  # fmt: skip


@pytest.fixture(scope="module")
def train_alone(backbone: Path, shards_dir: Path) -> Callable[[Path], None]:
    """The same in this process, all rows of a step in one pass."""
    changes = Changes(
        steps=STEPS, row_length=LENGTH, rows_per_step=ROWS, rates={}, speech_mixture=parse_mixture(MIXTURE)
    )

    def train(out: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            small = PRESETS["small"]
            patch.setitem(PRESETS, "small", replace(small, recipe=replace(small.recipe, bf16=False, save_steps=4)))
            TrainingJob(positional_recipe(str(backbone), shards_dir, out, changes=changes, device_rows=4)).run()

    return train


@pytest.fixture(scope="module")
def alone(train_alone: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "model"
    train_alone(out)
    return out


def assert_same(found: Path, expected: Path) -> None:
    models = [SmolTolkForCausalLM.from_pretrained(path).state_dict() for path in (found, expected)]
    for name, value in models[0].items():
        assert torch.allclose(value, models[1][name], atol=2e-4), name  # sums in another order
    logs = [read_json(path / "training.json")["history"] for path in (found, expected)]
    for one, other in zip(*logs, strict=True):
        for name in ("step", "loss", "text_loss", "speech_loss", "selector_entropy"):
            assert one.get(name) == pytest.approx(other.get(name), rel=1e-3), (one["step"], name)


def test_two_processes_train_what_one_does_and_speak_with_one_voice(
    train_in_two: Callable, alone: Path, tmp_path: Path
) -> None:
    done = train_in_two(tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "model", alone)
    assert done.stdout.count("model in") == 1 and done.stderr.count("note:") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_two_processes_killed_in_the_middle_go_on_as_one(
    train_in_two: Callable, train_alone: Callable, alone: Path, tmp_path: Path
) -> None:
    assert train_in_two(tmp_path / "model", killed_at=10).returncode != 0
    assert [path.name for path in (tmp_path / "model.work" / "stage2").iterdir()] == ["checkpoint-8"]
    train_alone(tmp_path / "model")
    assert_same(tmp_path / "model", alone)


def test_what_the_first_process_refuses_ends_all(train_in_two: Callable, tmp_path: Path) -> None:
    (tmp_path / "model.work" / "stage1").mkdir(parents=True)
    done = train_in_two(tmp_path / "model")
    assert done.returncode != 0 and done.stderr.count("was left by another one") == 1
    assert [path.name for path in (tmp_path / "model.work").iterdir()] == ["stage1"]
