"""Where rows stop that have not come to an end."""

import numpy as np
import torch

from smoltolk.inference.limits import Limits, Stop


def test_each_row_has_its_limit_and_its_length() -> None:
    long = 20
    limits = Limits([3, 40, 40], 2, lambda ids: len(ids) >= long and bool(ids[0] == 1))
    found = []
    for made in range(1, 30):
        ids = torch.zeros(3, 2 + made, dtype=torch.int64)
        ids[1, 2:] = 1
        found.append(limits(ids, None).tolist())
    assert found[1] == [False] * 3 and found[2] == [True, False, False]
    assert found[-1] == [True, True, False]
    assert limits.reached == {0: 3, 1: 24}  # one look in eight


def test_without_a_sound_only_ids_count() -> None:
    limits = Limits([2], 5)
    assert not limits(torch.zeros(1, 6), None).any() and limits(torch.zeros(1, 7), None).all()


def test_nobody_listens() -> None:
    waiting = np.array([True])
    stop = Stop(lambda: not waiting[0])
    assert not stop(torch.zeros(4, 3), None).any()
    waiting[0] = False
    assert stop(torch.zeros(4, 3), None).tolist() == [True] * 4
