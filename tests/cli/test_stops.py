"""Ctrl-C and SIGTERM at random moments: one line, the exit code of the signal, and the same command continues.

Two moments of each verb; ``make stops`` tries twenty, and the long verbs too.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from smoltolk.cli.app import app
from smoltolk.cli.options import Continuing

pytest.importorskip("espeakng_loader")
pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("SMOLTOLK_STOPS", "2"))
CONTINUES, ANEW = "stopped; the same command continues", "stopped; the same command begins anew"
COMMAND = [sys.executable, "-c", "from smoltolk.cli import main; main()"]
QUICK = {
    "speech": "speak {0}/texts.txt {1} --workers 2",
    "alone": "speak {0}/texts.txt {1} --workers 0",
    "units": "units fit {0}/speech {1} --steps 8",
    "shards": "prepare {0}/speech {0}/units {1} --workers 2",
    "model": "train {0}/backbone {0}/shards {1} --preset small --steps 4 --row-length 64 --rows-per-step 2",
}
LONG = {
    "vocoder": "vocoder fit {0}/speech {0}/units {1} --steps 30 --no-judge",
    "backbone": "backbone {0}/texts.txt {1} --steps 30 --layers 2 --hidden-size 32 --row-length 64 --rows-per-step 2",
    "corpus": "corpus folder {0}/recordings {1} --workers 2",
    "quickstart": "quickstart --out {1} --scale tiny",
    "ablation": "ablate {1} --scale tiny --seeds 0 --variants late,early --steps 40",
}
RESULTS = (".safetensors", ".parquet", ".flac", "utterances.jsonl", "rejected.jsonl", "ablation.svg")


def result_of(out: Path) -> dict[str, bytes]:
    """What a command made, without its clocks."""
    files = [path for path in sorted(out.rglob("*")) if path.name.endswith(RESULTS)]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every command needs, made without a break; it is also what it must make when it is stopped."""
    place = tmp_path_factory.mktemp("stops")
    lines = [f"Dog number {number} eats bread in the house of Anna." for number in range(120)]
    (place / "texts.txt").write_text("\n".join(lines) + "\n")
    return place


def undisturbed(name: str, place: Path) -> float:
    """Make what a command makes, unless it is there; return its seconds."""
    needs = {"units": ["speech"], "shards": ["speech", "units"], "model": ["shards", "backbone"], "vocoder": ["units"]}
    for other in needs.get(name, ()):
        undisturbed(other, place)
    if name == "corpus" and not (place / "recordings").exists():
        undisturbed("speech", place)
        (place / "recordings").mkdir()
        for path in sorted((place / "speech").glob("parts/*/*.flac")):
            shutil.copy(path, place / "recordings")
            (place / "recordings" / path.with_suffix(".txt").name).write_text(
                (place / "texts.txt").read_text().splitlines()[int(path.stem.split("-")[-1])]
            )
    start = time.monotonic()
    if not (place / name).exists():
        command = ({**QUICK, **LONG})[name].format(place, place / name).split()
        subprocess.run([*COMMAND, *command], check=True, capture_output=True)
        (place / f"{name}.seconds").write_text(f"{time.monotonic() - start}")
    return float((place / f"{name}.seconds").read_text())


def stop(command: list[str], seconds: float, number: int, everyone: bool) -> tuple[int, str, float]:
    """Start a command, send it (and with ``everyone`` those it started) a signal, and return how it ends."""
    process = subprocess.Popen(
        [*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(seconds)
    sent = time.monotonic()
    if process.poll() is None:
        (os.killpg if everyone else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=120)
    return process.returncode, said, time.monotonic() - sent


@pytest.mark.parametrize("name", QUICK if MOMENTS == 2 else {**QUICK, **LONG})
def test_a_stopped_command_says_so_and_continues(name: str, place: Path, tmp_path: Path) -> None:
    seconds, random_ = undisturbed(name, place), random.Random(f"{name} {MOMENTS}")
    out = tmp_path / name
    command = ({**QUICK, **LONG})[name].format(place, out).split()
    line, stopped, finished = ANEW if name == "units" else CONTINUES, 0, True
    for moment in range(4 * MOMENTS):
        if moment >= MOMENTS and stopped:
            break
        if finished or moment % 5 == 0:  # what was made before makes the next run shorter
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(out.with_name(f"{name}.work"), ignore_errors=True)
        number = (signal.SIGINT, signal.SIGTERM)[moment % 2]
        at = random_.uniform(0.3, 0.95 * seconds)
        code, said, took = stop(command, at, number, everyone=random_.random() < 0.5)
        told = f"{name}, {number!r} after {at:.2f} of {seconds:.2f} s:\n{said}"
        assert "Traceback" not in said and "Exception" not in said and "resource_tracker" not in said, told
        if code != 0:
            assert code == 128 + number and took < 30, f"code {code} after {took:.1f} s, {told}"
            # Before the verb is known nothing was begun, which can always be continued.
            assert [one for one in said.splitlines() if "stopped" in one] in ([line], [CONTINUES]), told
            stopped += 1
        else:
            assert "stopped" not in said, told
            seconds = max(0.4, 0.7 * seconds)  # it is quicker than when it was measured
        finished = code == 0
    assert stopped, "no run was stopped"
    done = subprocess.run([*COMMAND, *command], capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    made, wanted = result_of(out), result_of(place / name)
    other = [file for file in made.keys() | wanted.keys() if made.get(file) != wanted.get(file)]
    assert wanted and not other, f"{sorted(other)} of {len(made)} and {len(wanted)} files are not the same"
    left = [path.name for path in tmp_path.rglob("*") if path.name.startswith(".tmp-") or path.suffix == ".lock"]
    assert not left and not (tmp_path / f"{name}.work").exists()


@pytest.mark.parametrize("verb", ["analyse", "evaluate", "tune", "prefer"])
def test_verbs_that_keep_what_is_done_say_so(verb: str) -> None:
    """What is kept is tested with each of them; ``docs/own-data.md`` names them."""
    commands = typer.main.get_command(app).commands
    assert isinstance(commands[verb], Continuing)
    told = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
    listed = next(line for line in told.splitlines() if "the others begin anew" in line)
    going_on = {name for name, one in commands.items() if isinstance(one, Continuing)}
    assert going_on <= set(re.findall(r"`(\w+)", listed))


def test_signals_that_the_shell_switched_off_stay_off(place: Path, tmp_path: Path) -> None:
    """As behind nohup, or ``&`` in a script."""
    command = QUICK["alone"].format(place, tmp_path / "out").split()
    process = subprocess.Popen(
        [*COMMAND, *command], stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0 and "stopped" not in said


def test_what_computes_without_items_is_ended_from_outside(tmp_path: Path) -> None:
    script = (
        "import time, sys; from smoltolk.common.stopping import listening\n"
        "with listening():\n    print('on', flush=True)\n    while True: time.sleep(0.1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143 and said == f"{CONTINUES}\n"


def test_python_itself_is_as_it_was_after_a_command(smoltolk: Callable) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert smoltolk("--version").code == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
