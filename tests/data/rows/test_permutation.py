from __future__ import annotations

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.rows.permutation import _MASK, Permutation, _mix


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 100, 257, 1000])
def test_every_number_once(size):
    order = Permutation(size, 0, "epoch", 3)
    assert sorted(order(index) for index in range(size)) == list(range(size))


def test_orders_of_different_names_differ_and_the_same_name_repeats():
    first, second = Permutation(500, 7, "epoch", 0), Permutation(500, 7, "epoch", 1)
    places = np.array([[first(index), second(index)] for index in range(500)])
    assert (places[:, 0] == places[:, 1]).mean() < 0.05
    assert [Permutation(500, 7, "epoch", 0)(index) for index in range(500)] == places[:, 0].tolist()


def test_the_order_looks_random():
    size = 2000
    places = np.array([Permutation(size, 5)(index) for index in range(size)])
    assert abs(np.corrcoef(np.arange(size), places)[0, 1]) < 0.1
    # Neighbours end up anywhere: a step is as likely up as down, and of any size.
    steps = np.diff(places)
    assert 0.45 < (steps > 0).mean() < 0.55
    assert abs(np.abs(steps).mean() / size - 1 / 3) < 0.03


def test_orders_stay_what_they_are():
    """Numbers are mixed as by splitmix64, here against the first of its published outputs of seed 1234567."""
    states = [1234567 + number * 0x9E3779B97F4A7C15 & _MASK for number in (1, 2, 3)]
    assert [_mix(state) for state in states] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_numbers_outside_are_refused():
    with pytest.raises(InputError, match="0 <= index < 3"):
        Permutation(3, 0)(3)
    with pytest.raises(InputError, match="at least one"):
        Permutation(0, 0)
