from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.inference.batches import batches


def test_uniform_model_gives_log_of_the_modality_size(uniform, ids):
    switch = ids.switch
    sequences = [
        Scored([16, 1, 2, 3, 4], 3),  # two tokens of 20
        Scored([28, 21, 22, 23], 1),  # three units; speech has 8 units, end and padding
        Scored([16, 1, 2, switch, 21, 22], 3),  # <switch> is not scored
        Scored([28, 21, switch, 5], 2),
    ]
    scores = score(uniform, sequences, space=ids)
    assert scores.count.tolist() == [2, 3, 2, 1]
    expected = [2 * math.log(20), 3 * math.log(10), 2 * math.log(10), math.log(20)]
    np.testing.assert_allclose(scores.nll, expected, rtol=1e-6)
    np.testing.assert_allclose(scores.values(Rule()), np.log([20, 10, 10, 20]), rtol=1e-6)
    np.testing.assert_allclose(scores.values(Rule(normalisation="sum")), expected, rtol=1e-6)


def by_hand(model, sequence: Scored, start: int) -> float:
    logits = model(torch.tensor([list(sequence.ids)])).logits[0].detach().double().log_softmax(-1)
    return -sum(float(logits[t - 1, sequence.ids[t]]) for t in range(start, len(sequence.ids)))


@pytest.mark.parametrize("batch_tokens", [1, 24, 10_000])
def test_score_does_not_depend_on_the_batch(bigram, ids, batch_tokens):
    rng = np.random.default_rng(0)
    sequences = [
        Scored([28, *rng.integers(20, 28, length)], int(rng.integers(1, length))) for length in range(2, 20)
    ] + [Scored([16, *rng.integers(0, 16, length)], int(rng.integers(1, length))) for length in range(2, 9)]
    scores = score(bigram, sequences, space=ids, batch_tokens=batch_tokens)
    expected = [by_hand(bigram, sequence, sequence.start) for sequence in sequences]
    np.testing.assert_allclose(scores.nll, expected, rtol=1e-5)
    assert max(rows * length for rows, length in bigram.calls) <= max(batch_tokens, 20)


def test_whole_scope_and_end(bigram, ids):
    sequence = Scored([28, 21, 22, 23, ids.eos_speech], 3)
    whole = score(bigram, [sequence], space=ids, rule=Rule(scope="whole"))
    assert whole.count[0] == 3  # the end does not count by default
    assert whole.nll[0] == pytest.approx(by_hand(bigram, Scored([28, 21, 22, 23], 1), 1), rel=1e-5)
    ended = score(bigram, [sequence], space=ids, rule=Rule(score_end=True))
    assert ended.count[0] == 2
    assert ended.nll[0] == pytest.approx(by_hand(bigram, sequence, 3), rel=1e-5)


def test_text_model_without_id_space_counts_every_id(bigram):
    assert score(bigram, [Scored([16, 1, 17], 1)]).count[0] == 2


def test_mode_of_the_model_is_restored(uniform, ids):
    uniform.train()
    score(uniform, [Scored([16, 1], 1)], space=ids)
    assert uniform.training


def test_errors(uniform, ids):
    with pytest.raises(InputError, match="1 <= start < length"):
        Scored([16, 1], 2)
    with pytest.raises(InputError, match="at least one id that is scored"):
        score(uniform, [Scored([16, 1, ids.switch], 2)], space=ids)
    with pytest.raises(InputError, match="put <switch> between"):
        score(uniform, [Scored([16, 1], 1), Scored([16, 1, 21], 2)], space=ids)
    with pytest.raises(InputError, match="normalisation"):
        Rule(normalisation="median")


def test_batches_hold_every_index_once():
    lengths = [5, 1, 9, 3, 9, 2]
    groups = list(batches(lengths, 10))
    assert sorted(index for group in groups for index in group) == list(range(6))
    assert all(max(lengths[i] for i in group) * len(group) <= 10 for group in groups)


def test_batches_are_few_and_even():
    rng = np.random.default_rng(0)
    for lengths in (
        [91] * 50 + [82] * 46,
        [4000] + [20] * 500,
        [7],
        [30] * 12,
        *rng.integers(1, 60, (20, 97)).tolist(),
    ):
        groups = list(batches(lengths, 4096 if max(lengths) > 60 else 120))
        budget, order, fewest = 4096 if max(lengths) > 60 else 120, sorted(lengths, reverse=True), 0
        while order:
            order, fewest = order[max(1, budget // order[0]) :], fewest + 1
        assert len(groups) == fewest and sorted(i for group in groups for i in group) == list(range(len(lengths)))
        assert all(max(lengths[i] for i in group) * len(group) <= budget for group in groups)
    assert [len(group) for group in batches([91] * 50 + [82] * 46, 4096)] == [32, 32, 32]
