"""Draws of a row: their distribution, and that they are the row's own."""

import numpy as np
import pytest
import torch
from transformers.generation import logits_process as warpers

from smoltolk.inference.drawing import Draw, RowDraws, draw_ids
from smoltolk.inference.sampling import Sampling

_KINDS = [
    Sampling(1.0, 0), Sampling(0.5, 7), Sampling(2.0, 0, 0.7), Sampling(1.0, 4, 0.5), Sampling(1, 99), Sampling(1, 1),
]  # fmt: skip


@pytest.mark.parametrize("one", _KINDS)
def test_frequencies_are_those_of_transformers(one: Sampling) -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(1, 20)
    logits[0, 3] = -torch.inf
    scores = logits.double() / one.temperature
    if one.top_k:
        scores = warpers.TopKLogitsWarper(one.top_k)(None, scores)
    if one.top_p < 1:
        scores = warpers.TopPLogitsWarper(one.top_p)(None, scores)
    count = 4000
    numbers = iter((np.arange(count) + 0.5) / count)  # evenly
    drawn = draw_ids(logits.expand(count, -1), [one] * count, [lambda: next(numbers)] * count)
    found = np.bincount(drawn.numpy(), minlength=logits.shape[1]) / count
    assert found == pytest.approx(scores.softmax(-1)[0].numpy(), abs=1e-3)
    assert (found[scores[0].isinf().numpy()] == 0).all()


@pytest.mark.parametrize("never", [-torch.inf, torch.finfo(torch.float32).min])
def test_edges_of_the_number(never: float) -> None:
    logits = torch.tensor([[never, 0.0, never, 0.0, never]])
    for one in (Sampling(1.0, 0), Sampling(1.0, 4), Sampling(1.0, 0, 0.9), Sampling(1e-40, 0)):
        for number in (0.0, 0.5, 1.0 - 2**-53, 1.0):
            assert int(draw_ids(logits, [one], [lambda number=number: number])) in (1, 3)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(1)
    logits = torch.randn(5, 30)
    samplings = [Sampling(1.0, 5), None, Sampling(0.8, 0, 0.5), Sampling(1.0, 9, 0.6), Sampling(2.0, 0)]
    for _ in range(5):
        together = draw_ids(logits, samplings, [Draw(seed) for seed in range(5)])
        for row, one in enumerate(samplings):
            assert int(draw_ids(logits[row : row + 1], [one], [Draw(row)])) == int(together[row])
        assert together[1] == logits[1].argmax()
        logits = logits.roll(3, 1)


def test_who_takes_the_likeliest_takes_no_number() -> None:
    def never() -> float:
        raise AssertionError

    assert draw_ids(torch.eye(2), [None, Sampling()], [never, lambda: 0.0]).tolist() == [0, 1]


def test_generate_draws_the_same_beside_others() -> None:
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
