"""Processes that a stopped command ends: none is alive when it leaves (signals: ``tests/cli/test_stops.py``)."""

import multiprocessing
import subprocess
import sys
import time

import psutil
import pytest

from smoltolk.common.stopping import CONTINUES, end_children


def test_ended_children_are_dead_when_it_returns() -> None:
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=time.sleep, args=(60,)) for _ in range(3)]
    for child in children:
        child.start()
    began = time.monotonic()
    end_children(children)
    assert time.monotonic() - began < 10
    assert not any(psutil.pid_exists(child.pid) for child in children if child.pid is not None)
    assert all(child.exitcode is not None and child.exitcode < 0 for child in children)


PATIENT = """
import signal, sys, threading, time
from smoltolk.common import stopping
stopping.GRACE_SECONDS = 0.3
with stopping.listening():
    try:
        with stopping.patient("  ends soon"):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # passed on by a launcher: the same one
            time.sleep(1.5)
            stopping.check()
            print("had time", flush=True)
            if len(sys.argv) > 1:
                signal.raise_signal(signal.SIGINT)
                time.sleep(60)
        stopping.check()
    except stopping.Stopped as stopped:
        stopping.leave(stopped.code)
"""


@pytest.mark.parametrize(("again", "code"), [([], 143), (["again"], 130)])
def test_patient_work_ends_by_itself_or_at_a_second_signal(again: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, "-c", PATIENT, *again], capture_output=True, text=True, timeout=30)
    assert done.returncode == code and done.stdout == "had time\n", done
    assert done.stderr == f"  ends soon\n{CONTINUES}\n"
