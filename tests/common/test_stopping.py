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
    states = [psutil.Process(child.pid).status() for child in children if child.exitcode is None]
    assert time.monotonic() - began < 10 and set(states) <= {psutil.STATUS_ZOMBIE}
    for child in children:
        child.join(5)
        assert child.exitcode is not None and child.exitcode < 0
