"""Several processes train what one trains, copied or shared out, and a run killed in one form goes on in another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smoltolk.common.files import read_json
from smoltolk.model.modeling import SmolTolkForCausalLM

PROCESS = Path(__file__).parent / "processes" / "command.py"
# Rates at which what rounding changes stays small: AdamW makes the first steps of every weight equally large.
SIZES = {"--steps": 8, "--row-length": 96, "--rows-per-step": 6, "--device-rows": 1, "--stage1-rate": 1e-4,
         "--stage2-rate": 1e-4, "--stage1-mixture": "speech=1,interleaved=1"}  # fmt: skip
OPTIONS = [part for pair in SIZES.items() for part in pair]
FORMS = {"copied": {}, "shared out": {"SHARDED": "1"}}
pytestmark = pytest.mark.slow


def start(processes: int, *arguments: object, **environment: object) -> subprocess.CompletedProcess[str]:
    """The command line in so many processes; by itself, if there is one."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    more = {"OMP_NUM_THREADS": "1", **{name: str(value) for name, value in environment.items()}}
    command = [sys.executable, *(launcher if processes > 1 else ()), str(PROCESS), *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **more}, text=True, capture_output=True, timeout=300)


@pytest.fixture
def train(backbone: Path, shards_dir: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``train(2, out, KILLED_AT=9)``: in two processes."""

    def run(processes: int, out: Path, **environment: object) -> subprocess.CompletedProcess[str]:
        return start(processes, "train", backbone, shards_dir, out, *OPTIONS, **environment)

    return run


@pytest.fixture(scope="module")
def alone(backbone: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process, a row a pass: ``model/`` and the gradients of a step."""
    folder = tmp_path_factory.mktemp("alone")
    done = start(1, "train", backbone, shards_dir, folder / "model", *OPTIONS, GRADIENTS=folder)
    assert done.returncode == 0, done.stderr
    return folder


def assert_same(found: Path, expected: Path) -> None:
    logs = [read_json(path / "training.json")["history"] for path in (found, expected)]
    assert len(logs[0]) == len(logs[1]) == 8
    for one, other in zip(*logs, strict=True):
        for name in ("step", "stage", "loss", "text_loss", "speech_loss", "selector_entropy", "learning_rate"):
            wanted = other.get(name)
            close = wanted if isinstance(wanted, str | None) else pytest.approx(wanted, rel=1e-5)
            assert one.get(name) == close, (one["step"], name)
    models = [SmolTolkForCausalLM.from_pretrained(path).state_dict() for path in (found, expected)]
    for name, value in models[0].items():
        assert torch.allclose(value, models[1][name], atol=2e-5), name


def assert_same_gradients(folder: Path, other: Path) -> None:
    found, expected = (torch.load(path / "gradients.pt") for path in (folder, other))
    assert found.keys() == expected.keys() and len(found) > 40
    apart = torch.stack([(found[name] - expected[name]).norm() for name in found]).norm()
    assert apart <= 1e-5 * torch.stack([value.norm() for value in expected.values()]).norm()


def test_gathered_gradients_are_those_of_one_pass(
    backbone: Path, shards_dir: Path, alone: Path, tmp_path: Path
) -> None:
    options = [6 if before == "--device-rows" else one for before, one in zip(["", *OPTIONS], OPTIONS, strict=False)]
    done = start(1, "train", backbone, shards_dir, tmp_path / "model", *options, GRADIENTS=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_gradients(tmp_path, alone)


@pytest.mark.parametrize("form", FORMS)
def test_two_processes_have_the_gradients_of_one_and_speak_with_one_voice(
    form: str, train: Callable, alone: Path, tmp_path: Path
) -> None:
    done = train(2, tmp_path / "model", GRADIENTS=tmp_path, **FORMS[form])
    assert done.returncode == 0, done.stderr
    assert_same_gradients(tmp_path, alone)
    assert_same(tmp_path / "model", alone / "model")
    assert done.stdout.count("model in") == 1 and done.stderr.count("note:") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gradients.pt", "model"]


@pytest.mark.parametrize("form", FORMS)
def test_a_run_ended_three_times_goes_on_with_other_numbers_of_processes(
    form: str, train: Callable, alone: Path, tmp_path: Path
) -> None:
    stage = tmp_path / "model.work" / "stage2"
    for processes, end, left in ((1, "KILLED_AT=3", 2), (2, "STOPPED_AT=5", 5), (3, "KILLED_AT=7", 6)):
        more = FORMS[form] if processes > 1 else {}
        done = train(processes, tmp_path / "model", **dict([end.split("=")]), **more)
        if "STOPPED" in end:  # the signal came to one of them
            assert done.stderr.count("step 5 of 7 of stage2 is kept") == 1, done.stderr
        else:
            assert done.returncode == -9 or "SIGKILL" in done.stderr, done.stderr
        assert [path.name for path in stage.glob("checkpoint-*")] == [f"checkpoint-{left}"]
    done = train(1, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "model", alone / "model")


def test_what_the_first_process_refuses_ends_all(train: Callable, tmp_path: Path) -> None:
    (tmp_path / "model.work" / "stage1").mkdir(parents=True)
    done = train(2, tmp_path / "model")
    assert done.returncode != 0 and done.stderr.count("was left by another one") == 1
    assert [path.name for path in (tmp_path / "model.work").iterdir()] == ["stage1"]
