"""Randomness depends on the seed and the names, and on nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from smoltolk.common.seeds import derive, generator


def test_the_same_names_give_the_same_stream_in_any_order():
    first = generator(0, "row", 17).random(5)
    generator(0, "row", 16).random(100)
    assert np.array_equal(first, generator(0, "row", 17).random(5))


def test_seeds_and_names_are_told_apart():
    numbers = {derive(*key) for key in [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a0"), (0,)]}
    assert len(numbers) == 7


def test_another_process_agrees():
    code = "from smoltolk.common.seeds import derive; print(derive(3, 'x', 4))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(told) == derive(3, "x", 4)
