"""The attention for small models on a CPU computes what transformers' own does, and stands only where it belongs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.training.attention import NAME, cpu_attention, quick_attention


@pytest.mark.parametrize("num_key_value_heads", [4, 2])
def test_it_equals_plain_attention_with_packed_documents_and_padding(
    num_key_value_heads: int, make_recipe: Callable
) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=num_key_value_heads,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    ids = torch.randint(0, 40, (2, 12))
    packed = {"position_ids": torch.tensor([[*range(5), *range(7)]] * 2), "use_cache": False}
    padded = {"attention_mask": torch.tensor([[0] * 3 + [1] * 9, [1] * 12])}
    grads, logits = [], []
    for bf16 in (False, True):
        with quick_attention(model, make_recipe(bf16=bf16), 4):
            assert (model.config._attn_implementation == NAME) == bf16
            model.zero_grad()
            outputs = [model(input_ids=ids, **more).logits for more in ({}, packed, padded)]
            real = torch.cat([outputs[0].flatten(), outputs[1].flatten(), outputs[2][:, 3:].flatten()])
            real.square().sum().backward()
        logits.append(real.detach())
        grads.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    assert torch.allclose(logits[0], logits[1], atol=1e-6)
    assert torch.allclose(grads[0], grads[1], rtol=1e-4, atol=1e-5)


SIZES = {
    "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "settings", "quick"),
    [
        ("llama", {}, True),
        ("llama", {"attention_dropout": 0.1}, False),
        ("llama", {"attn_implementation": "eager"}, False),  # somebody's choice
        ("qwen3", {}, True),
        ("gemma3_text", {"sliding_window": 4}, True),
        ("gpt2", {}, False),  # dropout
        ("gemma2", {}, False),  # soft caps
        ("gpt_oss", {}, False),  # sinks
        ("bloom", {}, False),  # biases
    ],
)
def test_only_what_attends_plainly_attends_so(
    architecture: str, settings: dict, quick: bool, make_recipe: Callable
) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **SIZES | settings), **{
        key: value for key, value in settings.items() if key == "attn_implementation"
    })  # fmt: skip
    before, training = model.config._attn_implementation, model.training
    with quick_attention(model, make_recipe(bf16=True), 4):
        assert (model.config._attn_implementation == NAME) == quick
    assert model.config._attn_implementation == before and model.training == training


def test_long_rows_and_a_gpu_keep_the_fused_one(
    make_text_model: Callable, make_recipe: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_text_model()
    for recipe, rows in ((make_recipe(bf16=True, row_length=2048), 4), (make_recipe(bf16=True), 2**14 + 1)):
        with quick_attention(model, recipe, rows):
            assert model.config._attn_implementation == "sdpa"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with quick_attention(model, make_recipe(bf16=True), 4):
        assert model.config._attn_implementation == "sdpa"


def test_a_model_around_it_attends_so_in_every_part(build: Callable, make_recipe: Callable) -> None:
    model = build()
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    assert len(parts) >= 5  # adapters too
    with quick_attention(model, make_recipe(bf16=True), 4):
        assert {part.config._attn_implementation for part in parts} == {NAME}
    assert {part.config._attn_implementation for part in parts} == {"sdpa"}


def test_what_it_does_not_know_is_refused() -> None:
    states = torch.zeros(1, 2, 3, 4)
    with pytest.raises(InputError, match="soft caps"):
        cpu_attention(torch.nn.Identity(), states, states, states, None, 1.0, softcap=30.0)
