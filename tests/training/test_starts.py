"""Four processes that begin one command together: none takes another's first files for an earlier run's.

Three starts of each verb; ``make starts`` tries fifty.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STARTS = int(os.environ.get("SMOLTOLK_STARTS", "3"))
PROCESS = Path(__file__).parent / "processes" / "starts.py"
pytestmark = pytest.mark.slow


def starts(options: str, folder: Path, *arguments: object) -> list[str]:
    command = [sys.executable, str(PROCESS), str(STARTS), str(folder), *map(str, arguments), *options.split()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60 + 60 * STARTS, check=True)
    return done.stdout.splitlines()


def assert_all(found: list[str], folder: Path) -> None:
    logs = "\n".join(path.read_text()[-500:] for path in sorted(folder.glob("*-0.log"))[:3])
    assert found == ["0 0 0 0"] * STARTS, logs
    for number in range(STARTS):
        assert (folder / str(number) / "model.safetensors").is_file()
    left = {path.name for path in folder.iterdir() if not path.name.endswith(".log")}
    assert left == {str(number) for number in range(STARTS)}


def test_trainings_of_speech(backbone: Path, shards_dir: Path, tmp_path: Path) -> None:
    index = tmp_path.with_name("index")  # that they make together
    options = "--steps 2 --row-length 48 --rows-per-step 4 --device-rows 1"
    assert_all(starts(options, tmp_path, "train", backbone, shards_dir, "OUT", "--index", index), tmp_path)


def test_trainings_of_text(text: Path, tmp_path: Path) -> None:
    options = "--steps 1 --row-length 48 --rows-per-step 4 --layers 1 --hidden-size 32 --heads 2 --vocab-size 300"
    assert_all(starts(options, tmp_path, "backbone", text, "OUT"), tmp_path)
