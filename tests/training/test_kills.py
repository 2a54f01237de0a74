"""A training that dies at any moment, or finds no room, or a loss that is none, ends where an undisturbed one does.

Two kills at random moments; ``make kills`` tries ten.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smoltolk.common.files import read_json

KILLS = int(os.environ.get("SMOLTOLK_KILLS", "2"))
PROCESS = Path(__file__).parent / "processes" / "command.py"
OPTIONS = "--steps 16 --row-length 96 --rows-per-step 2 --device-rows 2"
pytestmark = pytest.mark.slow


def command(backbone: Path, shards: Path, out: Path) -> list[str]:
    return [sys.executable, str(PROCESS), "train", str(backbone), str(shards), str(out), *OPTIONS.split()]


def environment(**more: object) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in more.items()}}


@pytest.fixture
def train(backbone: Path, shards_dir: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``train(out, LOST_AT=3)``."""

    def run(out: Path, **more: object) -> subprocess.CompletedProcess[str]:
        line = command(backbone, shards_dir, out)
        return subprocess.run(line, env=environment(**more), capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture(scope="module")
def undisturbed(
    backbone: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, float, float]:
    """The model of a run without a break; seconds until its first checkpoint, and in all."""
    out = tmp_path_factory.mktemp("undisturbed") / "model"
    begun, first = time.monotonic(), 0.0
    process = subprocess.Popen(command(backbone, shards_dir, out), env=environment(), stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if not first and any(out.with_name("model.work").glob("*/checkpoint-*")):
            first = time.monotonic() - begun
        time.sleep(0.01)
    assert process.returncode == 0
    return out, first, time.monotonic() - begun


def assert_same(found: Path, expected: Path) -> None:
    """To the bit: weights, and every number of the log but the clock's."""
    assert (found / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()
    histories = [read_json(path / "training.json")["history"] for path in (found, expected)]
    assert histories[0] == histories[1] and len(histories[0]) == 16
    assert not found.with_name(f"{found.name}.work").exists()


def test_kills_at_random_moments_change_nothing(
    train: Callable, backbone: Path, shards_dir: Path, undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    expected, first, whole = undisturbed
    draw, kills, runs = random.Random(KILLS), 0, 0
    out = tmp_path / "model"
    while kills < KILLS:
        begun = time.monotonic()
        process = subprocess.Popen(command(backbone, shards_dir, out), env=environment(), stderr=subprocess.PIPE)
        try:
            process.communicate(timeout=draw.uniform(first, whole))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0
        assert_same(out, expected)
        shutil.rmtree(out)
        share = (time.monotonic() - begun) / whole  # of a machine that has less to do than it had before
        runs, first, whole = runs + 1, share * first, share * whole
        assert runs <= 3 * KILLS
    done = train(out)
    assert done.returncode == 0, done.stderr
    assert_same(out, expected)


def test_a_signal_costs_no_step_and_no_number(
    train: Callable, undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    expected, _, _ = undisturbed
    out = tmp_path / "model"
    for at in (6, 7):  # in the middle of a line of the log, twice of the same one
        done = train(out, STOPPED_AT=at, SAVE_STEPS=100, LOG_STEPS=4)
        assert done.returncode == 143 and "Traceback" not in done.stderr, done.stderr
        said = done.stderr.splitlines()
        assert f"  step {at} of 14 of stage2 is kept as a checkpoint" in said, said
        assert said[-1] == "stopped; the same command continues"
        assert ("  goes on from step 6 of 14 of stage2" in said) == (at == 7)
        assert [path.name for path in (tmp_path / "model.work" / "stage2").glob("checkpoint-*")] == [f"checkpoint-{at}"]
    done = train(out, SAVE_STEPS=100, LOG_STEPS=4)
    assert done.returncode == 0, done.stderr
    whole = train(tmp_path / "whole", SAVE_STEPS=100, LOG_STEPS=4)
    assert whole.returncode == 0, whole.stderr
    assert (out / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()
    histories = [read_json(path / "training.json")["history"] for path in (out, tmp_path / "whole")]
    assert histories[0] == histories[1] and len(histories[0]) == 5


def test_a_full_disk_costs_the_steps_since_the_last_checkpoint(
    train: Callable, undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    expected, _, _ = undisturbed
    out, stage = tmp_path / "model", tmp_path / "model.work" / "stage2"
    assert train(out, KILLED_AT=5).returncode == -9
    size = next(stage.glob("checkpoint-4/optimizer*")).stat().st_size
    for largest in (size - 1000, size // 3, 500):  # of the optimizer, of the weights, of whatever is first
        done = train(out, LARGEST_FILE=largest)
        assert done.returncode == 1 and "there must be room on the disk" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        whole = [path.parent.name for path in stage.glob("checkpoint-*/whole.json")]
        assert whole == ["checkpoint-4"]
    done = train(out)
    assert done.returncode == 0, done.stderr
    assert_same(out, expected)


def test_a_loss_that_is_no_number_is_told_and_never_saved(
    train: Callable, undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    expected, _, _ = undisturbed
    out = tmp_path / "model"
    done = train(out, LOST_AT=6)
    assert done.returncode == 1 and "losses and gradients are numbers" in done.stderr and "nan" in done.stderr
    assert [path.name for path in (tmp_path / "model.work" / "stage2").glob("checkpoint-*")] == ["checkpoint-4"]
    assert train(out).returncode == 0
    assert_same(out, expected)


def test_a_checkpoint_that_lost_something_is_not_gone_on_from(
    train: Callable, undisturbed: tuple[Path, float, float], tmp_path: Path
) -> None:
    expected, _, _ = undisturbed
    out, stage = tmp_path / "model", tmp_path / "model.work" / "stage2"
    assert train(out, KILLED_AT=8).returncode == -9
    weights = stage / "checkpoint-6" / "model.safetensors"
    held = weights.read_bytes()
    for damaged, told in ((held[:-9], "bytes of"), (None, "is gone")):
        weights.unlink() if damaged is None else weights.write_bytes(damaged)
        done = train(out)
        assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr, done.stderr
    weights.write_bytes(held)
    (stage / "checkpoint-8").mkdir()  # one that a kill cut short
    (stage / "checkpoint-8" / "model.safetensors").write_bytes(held[:100])
    done = train(out)
    assert done.returncode == 0, done.stderr
    assert_same(out, expected)
