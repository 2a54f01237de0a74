from __future__ import annotations

import math

import pytest

from smoltolk.common.errors import InputError
from smoltolk.evaluation.nll import held_out_nll


def test_uniform_model(uniform, ids):
    speech = held_out_nll(uniform, [[28, 21, 22], [28, 23, 24, 25, 28]], ids, "speech")
    assert (speech.num_ids, speech.num_documents) == (5, 2)  # the end is not counted
    assert speech.nll == pytest.approx(math.log(10), rel=1e-6)
    assert held_out_nll(uniform, [[16, 1, 2]], ids, "text").nll == pytest.approx(math.log(20), rel=1e-6)


def test_every_id_weighs_the_same(bigram, ids):
    """A long document counts by its length: one mean over ids, not a mean of means."""
    documents = [[28, 21], [28, 22, 23, 24, 25, 26, 27]]
    each = [held_out_nll(bigram, [document], ids, "speech") for document in documents]
    both = held_out_nll(bigram, documents, ids, "speech")
    assert both.nll == pytest.approx((each[0].nll * 1 + each[1].nll * 6) / 7, rel=1e-6)


def test_errors(uniform, ids):
    with pytest.raises(InputError, match="at least one document"):
        held_out_nll(uniform, [], ids, "text")
    with pytest.raises(InputError, match="speech ids only"):
        held_out_nll(uniform, [[28, 21], [28, 21, ids.switch, 3]], ids, "speech")
    with pytest.raises(InputError, match="text ids only"):
        held_out_nll(uniform, [[16, 21]], ids, "text")
    with pytest.raises(InputError, match="id space"):
        held_out_nll(uniform, [[28, 21]], None, "speech")
