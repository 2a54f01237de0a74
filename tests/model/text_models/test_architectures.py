"""Any decoder-only text model of transformers, without a line of code for any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM

# Settings that a tiny model needs, or that bring out what the architecture does otherwise (windows, wide heads).
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "smollm3": {"no_rope_layer_interval": 2},
    "qwen2": {},
    "qwen3": {"head_dim": 12},
    "gpt_neox": {},
    "olmo2": {},
    "gemma2": {"sliding_window": 5, "head_dim": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 5, "head_dim": 8, "query_pre_attn_scalar": 8},
    "phi3": {"sliding_window": 5},
    "mistral": {"sliding_window": 5},
    "gpt2": {},
    "opt": {},
    "granite": {"embedding_multiplier": 12.0, "residual_multiplier": 0.3, "logits_scaling": 4.0},
    "olmo3": {"sliding_window": 5},
    "gemma": {"head_dim": 8},
    "stablelm": {},
    "starcoder2": {"sliding_window": 5},
    "falcon": {},
    "phi": {},
    "gptj": {"rotary_dim": 4},
    "mpt": {},
    "cohere2": {"sliding_window": 5},
    "mixtral": {"num_local_experts": 4},
    "bloom": {},
}
Build = Callable[[str], tuple[PreTrainedModel, SmolTolkForCausalLM]]


@pytest.fixture(scope="module")
def build(make_text_model: Callable[..., PreTrainedModel], make_model: Callable[..., SmolTolkForCausalLM]) -> Build:
    kept: dict[str, tuple[PreTrainedModel, SmolTolkForCausalLM]] = {}

    def get(architecture: str) -> tuple[PreTrainedModel, SmolTolkForCausalLM]:
        if architecture not in kept:
            text_model = make_text_model(architecture, **ARCHITECTURES[architecture])
            kept.clear()
            kept[architecture] = text_model, make_model(text_model)
        return kept[architecture]

    return get


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_text_model_becomes_a_smoltolk_model(
    architecture: str, build: Build, ids: Tensor, write: Callable[..., Tensor], assert_close: Callable, tmp_path: Path
) -> None:
    text_model, model = build(architecture)
    space = model.config.id_space
    full = model(ids).logits

    for size in (25, 6, 1):  # prefill, in chunks, one by one
        cache, found = None, []
        for chunk in ids.split(size, dim=1):
            output = model(chunk, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            found.append(output.logits)
        assert_close(torch.cat(found, dim=1), full)

    padded = torch.nn.functional.pad(ids, (3, 0))
    mask = (torch.arange(28) >= 3).long().expand(2, -1)
    assert_close(model(padded, attention_mask=mask).logits[:, 3:], full)
    assert_close(model(padded, attention_mask=mask, use_cache=True).logits[:, 3:], full)

    second = write(space, "uuusttt", "sttuuuu", seed=1)
    document_ids = torch.tensor([0] * 25 + [1] * 7).expand(2, -1)
    packed = model(torch.cat([ids, second], dim=1), document_ids=document_ids).logits
    assert_close(packed[:, :25], full)
    assert_close(packed[:, 25:], model(second).logits)

    text = write(space, "tttttttttt", "tttttttttt")
    expected = text_model(text).logits.log_softmax(-1)
    assert_close(model(text).logits.log_softmax(-1)[..., : expected.shape[-1]], expected)

    model.save_pretrained(tmp_path)
    loaded = SmolTolkForCausalLM.from_pretrained(tmp_path).eval()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    assert_close(loaded(ids).logits, full, tolerance=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_generation_with_and_without_a_cache(architecture: str, build: Build, ids: Tensor) -> None:
    _, model = build(architecture)
    mask = torch.ones_like(ids)
    ways: dict[str, dict[str, Any]] = {"beams": {"num_beams": 2}, "samples": {"do_sample": True, "temperature": 0.7}}
    static = {"cache_implementation": "static", "disable_compile": True}

    def generate(way: str, **cache: Any) -> Tensor:
        torch.manual_seed(0)
        settings = {"do_sample": False, "max_new_tokens": 4, "pad_token_id": 0} | ways[way] | cache
        return model.generate(ids, attention_mask=mask, **settings)

    for way in ways:
        assert torch.equal(generate(way, use_cache=True), generate(way, use_cache=False))
    assert torch.equal(generate("beams", **static), generate("beams"))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "gemma3_text", "granite"])
def test_every_parameter_learns(architecture: str, build: Build, ids: Tensor, gradients: Callable[..., dict]) -> None:
    _, model = build(architecture)
    found = gradients(model, input_ids=ids, labels=ids)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in found.values())
