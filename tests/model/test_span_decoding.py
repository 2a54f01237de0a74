"""Blocks that take no ready mask: found out by trying, and decoded run by run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.trials import masks_spans

MakeText = Callable[..., PreTrainedModel]
Make = Callable[..., SmolTolkForCausalLM]
WITHOUT_MASKS = {
    "bloom": {},
    "falcon": {"alibi": True, "new_decoder_architecture": False},
    "qwen3_next": {
        "layer_types": ["linear_attention", "full_attention", "linear_attention"], "num_experts": 4,
        "num_experts_per_tok": 2, "linear_num_key_heads": 2, "linear_num_value_heads": 2,
    },
}  # fmt: skip


def test_it_is_tried(make_text_model: MakeText) -> None:
    for architecture in ("llama", "gpt2", "opt", "gemma2", "mpt"):
        assert masks_spans(make_text_model(architecture)), architecture
    for architecture, changes in WITHOUT_MASKS.items():
        training = make_text_model(architecture, **changes).train()
        assert not masks_spans(training) and training.training, architecture


@pytest.mark.parametrize("architecture", WITHOUT_MASKS)
@torch.no_grad()
def test_decoding_in_any_chunks(
    architecture: str, make_text_model: MakeText, make_model: Make, ids: Tensor, assert_close: Callable
) -> None:
    model = make_model(make_text_model(architecture, **WITHOUT_MASKS[architecture]))
    assert not model.config.masks_spans
    full = model(ids).logits
    for size in (25, 7, 1):
        cache, found = None, []
        for chunk in ids.split(size, dim=1):
            output = model(chunk, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            found.append(output.logits)
        assert_close(torch.cat(found, dim=1), full)


@pytest.mark.parametrize("pool", ["backbone", "all"])
@pytest.mark.parametrize("static", [False, True])
@torch.no_grad()
def test_it_computes_what_masks_compute(
    static: bool, pool: str, make_model: Make, write: Callable[..., Tensor], assert_close: Callable
) -> None:
    model = make_model(layer_mix_pool=pool)
    prompts = write(model.config.id_space, "tttsuuuustttsuu", "uuuusttttsuuust")
    settings = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 6, "do_sample": False, "num_beams": 2}
    if static:
        settings |= {"cache_implementation": "static", "disable_compile": True}
    expected = model.generate(prompts, **settings)
    model.config.masks_spans = False
    assert torch.equal(model.generate(prompts, **settings), expected)
    assert_close(model(prompts, use_cache=True).logits, model(prompts).logits)


@pytest.mark.parametrize("architecture", ["mamba", "falcon_h1"])
def test_states_that_are_no_keys_and_values(architecture: str, make_text_model: MakeText) -> None:
    with pytest.raises(InputError, match="decides by itself what its layers are"):
        SmolTolkForCausalLM.from_text_model(make_text_model(architecture), num_units=10)
