"""Bad items are rejected by name, and the rest is done."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError, WorkerError
from smoltolk.common.rejection import Rejected, do_each, do_together


def halve(number: int) -> int:
    if number % 2:
        raise InputError("numbers are even", str(number), "double it")
    return number // 2


def halve_all(numbers: Sequence[int]) -> list[int]:
    return [halve(number) for number in numbers]


@given(st.lists(st.integers(0, 99)))
def test_the_good_ones_are_done_and_the_bad_ones_listed_in_order(numbers: list[int]) -> None:
    for found in (
        lambda rejected: list(do_each(numbers, halve, str, rejected)),
        lambda rejected: do_together(numbers, halve_all, str, rejected),
    ):
        rejected: list[Rejected] = []
        assert found(rejected) == [(number, number // 2) for number in numbers if number % 2 == 0]
        assert [one.id for one in rejected] == [str(number) for number in numbers if number % 2]
        assert all(one.id in one.line() and "double it" in one.line() and "\n" not in one.line() for one in rejected)


def test_what_no_item_is_guilty_of_ends_the_work() -> None:
    def full(_: int) -> int:
        raise OSError(28, "No space left on device")

    def dead(_: int) -> int:
        raise WorkerError("workers live", "one died", "again")

    for do, error in ((full, OSError), (dead, WorkerError)):
        rejected: list[Rejected] = []
        with pytest.raises(error):
            list(do_each([1], do, str, rejected))
        assert not rejected
