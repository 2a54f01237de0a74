"""Work in other processes: in order, lazily, and with a word when a worker dies."""

from __future__ import annotations

import os
import signal

import pytest

from smoltolk.common.errors import InputError, WorkerError
from smoltolk.common.workers import num_cpus, parallel_map

_state: list[int] = []


def begin(number: int) -> None:
    _state.append(number)


def square(number: int) -> tuple[int, int, list[int]]:
    return number * number, os.getpid(), list(_state)


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise InputError("numbers are even", str(number), "double it")


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_from_processes_that_were_prepared(workers):
    results = list(parallel_map(square, range(7), workers=workers, initializer=begin, initargs=(5,)))
    assert [result for result, _, _ in results] == [n * n for n in range(7)]
    assert all(5 in state for _, _, state in results)
    assert (os.getpid() in {pid for _, pid, _ in results}) == (workers == 0)


def test_a_dead_worker_is_told():
    with pytest.raises(WorkerError, match="run the same command again"):
        list(parallel_map(die_at_three, range(6), workers=1))


def test_an_error_of_the_work_comes_back_whole():
    with pytest.raises(InputError) as caught:
        list(parallel_map(refuse, [1], workers=1))
    assert caught.value.fix == "double it"


def test_there_is_at_least_one_processor():
    assert num_cpus() >= 1
