"""Processes that a stopped command ends: none is alive when it leaves (signals: ``tests/cli/test_stops.py``)."""

import multiprocessing
import time

import psutil

from smoltolk.common.stopping import end_children


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
