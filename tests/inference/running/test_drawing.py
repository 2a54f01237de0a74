import numpy as np
import pytest
import torch
from transformers.generation import logits_process as warpers

from smoltolk.common.errors import InputError
from smoltolk.inference.drawing import Draw, Sampling, draw_ids
from smoltolk.inference.running.drawing import Drawing, draw


def shares(logits, one, count=4000):
    """How often each id is drawn, over numbers that lie evenly."""
    numbers = iter((np.arange(count) + 0.5) / count)
    drawn = [int(draw(logits, [one], [lambda: next(numbers)])) for _ in range(count)]
    return np.bincount(drawn, minlength=logits.shape[1]) / count


_KINDS = [Drawing(1.0), Drawing(0.5, 7), Drawing(2.0, 0, 0.7), Drawing(1.0, 4, 0.5), Drawing(1, 99), Drawing(1, 1)]


@pytest.mark.parametrize("one", _KINDS)
def test_frequencies_are_those_of_transformers(one):
    torch.manual_seed(0)
    logits = 2 * torch.randn(1, 20)
    logits[0, 3] = -torch.inf
    scores = logits.double() / one.temperature
    if one.top_k:
        scores = warpers.TopKLogitsWarper(one.top_k)(None, scores)
    if one.top_p < 1:
        scores = warpers.TopPLogitsWarper(one.top_p)(None, scores)
    found = shares(logits, one)
    assert found == pytest.approx(scores.softmax(-1)[0].numpy(), abs=1e-3)
    assert (found[scores[0].isinf().numpy()] == 0).all()


def test_edges_of_the_number():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    for one in (Drawing(1.0), Drawing(1.0, 4), Drawing(1.0, 0, 0.9)):
        for number in (0.0, 0.5, 1.0 - 2**-53, 1.0):
            assert int(draw(logits, [one], [lambda number=number: number])) in (1, 3)


def test_the_same_seed_draws_what_a_batch_that_begins_together_draws():
    torch.manual_seed(2)
    logits = torch.randn(4, 30)
    for top_k in (0, 5):
        wanted = draw_ids(logits, Sampling(0.7, top_k), [Draw(seed)() for seed in range(4)])
        found = draw(logits, [Drawing(0.7, top_k, seed=seed) for seed in range(4)], [Draw(seed) for seed in range(4)])
        assert found.tolist() == wanted.tolist()


def test_a_row_does_not_depend_on_its_neighbours():
    torch.manual_seed(1)
    logits = torch.randn(4, 30)
    settings = [Drawing(1.0, 5, 1.0, 3), Drawing(), Drawing(0.8, 0, 0.5, 4), Drawing(1.0, 9, 0.6, 3)]
    together = draw(logits, settings, [Draw(one.seed) for one in settings])
    for row, one in enumerate(settings):
        assert int(draw(logits[row : row + 1], [one], [Draw(one.seed)])) == int(together[row])


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}, {"seed": -1},
                                   {"temperature": float("nan")}])  # fmt: skip
def test_refusals(wrong):
    with pytest.raises(InputError, match="drawing needs"):
        Drawing(**wrong)
