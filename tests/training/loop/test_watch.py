"""Warnings come where they should, and nowhere else."""

from __future__ import annotations

import time

from smoltolk.training.loop.speed import Clock
from smoltolk.training.loop.watch import LoaderWatch, repetition_told, waiting_told


def test_a_loader_that_stalls_is_told_once_each_time() -> None:
    told: list[str] = []
    clock = Clock()
    with LoaderWatch(clock, told.append, seconds=0.1, every=0.01):
        time.sleep(0.3)
        assert len(told) == 1 and "the loader stalls" in told[0]
        clock.begin_step()
        time.sleep(0.2)  # a long step is no stall
        assert len(told) == 1
        clock.end_step()
        clock.pause()
        time.sleep(0.2)  # nor is a validation
        assert len(told) == 1
        clock.wait()
        time.sleep(0.3)
    assert len(told) == 2


def test_waiting_is_told_where_it_takes_a_fifth_of_the_time() -> None:
    assert waiting_told(9.0, 1.0, True) is None and waiting_told(0.0, 0.0, True) is None
    told = waiting_told(7.0, 3.0, True)
    assert told is not None and told.startswith("the GPU waits for rows 30% of the time")


def test_data_seen_too_often_is_told_by_task() -> None:
    assert repetition_told({"speech": 4.0, "text": 16.0}, "stage2") is None
    told = repetition_told({"speech": 40.0, "text": 2.0}, "stage2")
    assert told is not None and "speech 40 times" in told and "text" not in told


def test_a_clock_counts_steps_and_waiting_and_not_what_is_between() -> None:
    clock = Clock(before=100.0)
    time.sleep(0.05)
    clock.begin_step()
    time.sleep(0.02)
    clock.end_step()
    clock.pause()
    time.sleep(0.2)
    clock.wait()
    clock.begin_step()
    clock.end_step()
    steps, stepped, waited = clock.read()
    assert steps == 2 and 0.02 <= stepped < 0.05 <= waited < 0.15
    assert 100.07 <= clock.seconds < 100.2
    assert clock.read() == (0, 0.0, 0.0)
