"""What stays the same keeps its weights, and computes what it did."""

from __future__ import annotations

import torch

from smoltolk.inference.remaking import with_new_units, with_switch
from smoltolk.model.modeling import SmolTolkForCausalLM


def test_other_units_leave_text_as_it_is(model: SmolTolkForCausalLM) -> None:
    made = with_new_units(model, num_units=7, num_codebooks=2, unit_fingerprint="ab", seed=1)
    assert made.config.codebook_delays == [0, 1] and made.config.id_space.num_speech_ids == 9
    assert not made.training
    ids = torch.tensor([[0, 5, 9, 3]])
    with torch.no_grad():
        found, before = made(ids).logits, model(ids).logits
    texts = model.config.num_text_ids
    assert torch.equal(found[..., :texts], before[..., :texts])
    assert torch.equal(made.control_embed.weight, model.control_embed.weight)


def test_a_switch_is_learned_beside_all_that_is_known(model: SmolTolkForCausalLM) -> None:
    made, space = with_switch(model, seed=0), model.config.id_space
    assert made.config.predict_switch and not model.config.predict_switch
    ids = torch.tensor([[0, 5, space.switch, space.speech_offset + 3, space.speech_offset + 1]])
    with torch.no_grad():
        found, before = made(ids).logits, model(ids).logits
    others = torch.arange(found.shape[-1]) != space.switch
    torch.testing.assert_close(found[..., others], before[..., others], rtol=1e-5, atol=1e-5)
    assert (found[0, [0, 1, 3, 4], space.switch] > -1e30).all()
