"""One process at a time writes to an output; whatever ends it lets go."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.lock import hold

HOLD = """
import sys, time
from smoltolk.common.lock import hold
with hold(sys.argv[1], *sys.argv[2:]):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(*arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_another_process_is_told_by_number_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "link").symlink_to(out)
    process = holder(out)
    for name in ("out", "link"):
        with pytest.raises(InputError, match=f"number {process.pid}, writes to"), hold(tmp_path / name):
            raise AssertionError("two at once")
    with hold(tmp_path / "other"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    (tmp_path / f".tmp-{process.pid}-out").mkdir()  # what it left is cleared away
    with hold(out):
        assert not (tmp_path / f".tmp-{process.pid}-out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_what_holds_may_call_what_holds_and_nothing_is_left(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "out"
    with hold(deep):
        with hold(deep):
            pass
        process = subprocess.run([sys.executable, "-c", HOLD, str(deep)], capture_output=True, text=True)
        assert process.returncode and "one process at a time" in process.stderr
    assert not list(tmp_path.iterdir())


def test_shares_of_one_output_are_held_apart_from_themselves_alone(tmp_path: Path) -> None:
    process = holder(tmp_path / "out", "1-of-2")
    with hold(tmp_path / "out", "2-of-2"):
        pass
    with pytest.raises(InputError), hold(tmp_path / "out", "1-of-2"):
        pass
    process.kill()
    process.wait()
