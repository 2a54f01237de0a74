"""Draws of a row: their distribution, and that they are the row's own."""

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.inference.drawing import Draw, RowDraws, Sampling, draw_ids


def test_ids_are_drawn_as_often_as_their_share() -> None:
    scores = torch.tensor([[2.0, 1.0, -1.0, 0.5, -torch.inf]]).repeat(20_000, 1)
    numbers = np.random.default_rng(0).random(len(scores))
    for sampling, kept in ((Sampling(0.7, 0), 4), (Sampling(1.3, 2), 2)):
        counts = torch.bincount(draw_ids(scores, sampling, numbers), minlength=5) / len(scores)
        best = scores[0].topk(kept).indices
        shares = torch.zeros(5).scatter(0, best, (scores[0, best] / sampling.temperature).softmax(-1))
        assert (counts - shares).abs().max() < 0.012
        assert counts[4] == 0


def test_the_last_number_finds_an_id_too() -> None:
    scores = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    for number in (0.0, 1 - 1e-16, 0.9999999999):
        assert draw_ids(scores, Sampling(1.0, 0), [number]).item() == 0


def test_a_row_draws_the_same_beside_others() -> None:
    scores = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    ids = torch.zeros(3, 1, dtype=torch.int64)
    together, alone = RowDraws(Sampling(2.0), [7, 8, 9]), RowDraws(Sampling(2.0), [9])
    steps = [
        (together(ids, scores).argmax(-1)[2].item(), alone(ids[2:], scores[2:]).argmax(-1).item()) for _ in range(20)
    ]
    assert all(first == second for first, second in steps) and len({first for first, _ in steps}) > 3
    made = together(ids, scores)
    assert (made == 0).sum().item() == 3 and torch.isinf(made).sum().item() == made.numel() - 3


def test_seeds_differ() -> None:
    first, again, other = Draw(1), Draw(1), Draw(2)
    numbers = [(first(), again(), other()) for _ in range(5)]
    assert all(a == b != c for a, b, c in numbers) and all(0 <= a < 1 for a, _, _ in numbers)


def test_sampling_that_cannot_be() -> None:
    for wrong in ({"temperature": 0.0}, {"top_k": -1}):
        with pytest.raises(InputError, match="sampling needs"):
            Sampling(**wrong)
