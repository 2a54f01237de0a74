import numpy as np
import pytest
import torch
from transformers.generation import logits_process as warpers

from smoltolk.common.errors import InputError
from smoltolk.inference.running.drawing import Drawing, _kept, draw


def test_what_is_kept_is_what_transformers_keeps():
    torch.manual_seed(0)
    logits = 3 * torch.randn(6, 50, dtype=torch.float64)
    settings = [Drawing(1.0), Drawing(0.5, 7), Drawing(2.0, 0, 0.7), Drawing(1.0, 4, 0.5), Drawing(1, 99), Drawing(1, 1)]
    found = _kept(logits.clone(), settings)
    for row, one in enumerate(settings):
        scores = logits[row : row + 1] / one.temperature
        if one.top_k:
            scores = warpers.TopKLogitsWarper(one.top_k)(None, scores)
        if one.top_p < 1:
            scores = warpers.TopPLogitsWarper(one.top_p)(None, scores)
        assert torch.allclose(found[row] / found[row].sum(), scores.softmax(-1)[0])


def test_frequencies_are_the_probabilities():
    logits = torch.tensor([[0.1, 0.2, 0.0, 0.7]]).log()
    generator = Drawing(1.0).generator()
    drawn = [int(draw(logits, [Drawing(1.0)], [generator])) for _ in range(4000)]
    assert np.bincount(drawn, minlength=4) / 4000 == pytest.approx([0.1, 0.2, 0.0, 0.7], abs=0.03)


def test_edges_of_the_random_number():
    class Says:
        def __init__(self, value):
            self.random = lambda: value

    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    assert int(draw(logits, [Drawing(1.0)], [Says(0.0)])) == 1
    assert int(draw(logits, [Drawing(1.0)], [Says(1.0)])) == 3  # never an id of no probability


def test_a_row_does_not_depend_on_its_neighbours():
    torch.manual_seed(1)
    logits = torch.randn(3, 30)
    settings = [Drawing(1.0, 5, 1.0, 3), Drawing(), Drawing(0.8, 0, 0.5, 4)]
    together = draw(logits, settings, [one.generator() for one in settings])
    for row, one in enumerate(settings):
        assert int(draw(logits[row : row + 1], [one], [one.generator()])) == int(together[row])


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}, {"seed": -1},
                                   {"temperature": float("nan")}])  # fmt: skip
def test_refusals(wrong):
    with pytest.raises(InputError, match="drawing needs"):
        Drawing(**wrong)
