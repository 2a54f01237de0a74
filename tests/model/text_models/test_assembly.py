from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import pad_text_table

Make = Callable[..., PreTrainedModel]


def test_from_a_directory_or_an_instance(make_text_model: Make, tmp_path: Path) -> None:
    text_model = make_text_model()
    text_model.save_pretrained(tmp_path)
    settings = {"num_units": 10, "seed": 3}
    first = SmolTolkForCausalLM.from_text_model(str(tmp_path), **settings)
    second = SmolTolkForCausalLM.from_text_model(text_model, **settings)
    assert text_model.get_input_embeddings().weight.shape[0] == 61  # left as it is
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    other = SmolTolkForCausalLM.from_text_model(text_model, num_units=10, seed=4)
    assert not torch.equal(other.units.embed.weight, first.units.embed.weight)
    assert torch.equal(other.backbone.base_model.norm.weight, first.backbone.base_model.norm.weight)


def test_global_random_state_is_left_alone(make_text_model: Make) -> None:
    text_model = make_text_model()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SmolTolkForCausalLM.from_text_model(text_model, num_units=10)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_spare_rows(tied: bool, make_text_model: Make) -> None:
    text_model = make_text_model(tie_word_embeddings=tied)
    table, head = text_model.get_input_embeddings().weight.clone(), text_model.get_output_embeddings().weight.clone()
    ids = torch.arange(2, 12)[None]
    expected = text_model(ids).logits
    assert pad_text_table(text_model) == 61
    padded = text_model.get_input_embeddings().weight, text_model.get_output_embeddings().weight
    for before, after in zip((table, head), padded, strict=True):
        assert after.shape == (64, 32) and torch.equal(after[:61], before) and not after[61:].any()
    assert (padded[0] is padded[1]) == tied and text_model.config.vocab_size == 64
    torch.testing.assert_close(text_model(ids).logits[..., :61], expected)
    assert pad_text_table(text_model) == 64  # a round table stays as it is


@torch.no_grad()
def test_spare_rows_of_a_head_with_a_bias(make_text_model: Make) -> None:
    text_model = make_text_model("phi")
    bias = text_model.get_output_embeddings().bias.clone()
    pad_text_table(text_model)
    padded = text_model.get_output_embeddings().bias
    assert torch.equal(padded[:61], bias) and padded.shape == (64,) and not padded[61:].any()


def test_published_initialisation(make_text_model: Make) -> None:
    model = SmolTolkForCausalLM.from_text_model(make_text_model(), num_units=500, tie_speech_embeddings=False)
    for table in (model.units.embed, model.units.unembed):
        assert table.weight.std().item() == pytest.approx(0.02, rel=0.05)
    blocks = model.late_fusion.adapter.blocks[0]
    assert blocks.mlp.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.1)  # Llama's own
    assert torch.equal(blocks.input_layernorm.weight, torch.ones(32))


def test_speech_parameters_are_those_the_text_model_did_not_bring(model: SmolTolkForCausalLM) -> None:
    speech = model.speech_parameters().keys()
    rest = {name for name, _ in model.named_parameters()} - speech
    assert speech and rest
    assert all(name.startswith("backbone.") for name in rest)
    assert len(rest) == len(list(model.backbone.parameters()))


def test_dtype_of_the_text_model_is_kept(make_text_model: Make) -> None:
    model = SmolTolkForCausalLM.from_text_model(make_text_model().to(torch.bfloat16), num_units=10)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_end_of_text(make_text_model: Make) -> None:
    for eos, given, expected in ((1, None, 1), ([5, 1], None, 5), (1, 7, 7), (None, 7, 7)):
        model = SmolTolkForCausalLM.from_text_model(make_text_model(eos_token_id=eos), num_units=10, eos_text_id=given)
        assert model.config.eos_text_id == expected
    with pytest.raises(InputError, match="must have an end-of-sequence id"):
        SmolTolkForCausalLM.from_text_model(make_text_model(eos_token_id=None), num_units=10)


def test_embeddings_narrower_than_the_states(make_text_model: Make) -> None:
    with pytest.raises(InputError, match="embeddings of 16, states of 32"):
        SmolTolkForCausalLM.from_text_model(make_text_model("opt", word_embed_proj_dim=16), num_units=10)
