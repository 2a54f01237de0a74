"""Speech is put around a text model in little more memory than the model itself, and with the numbers it always had."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models import skeleton
from smoltolk.model.text_models.skeleton import partly_weightless, put_weights, weightless


def config(**changes: Any) -> LlamaConfig:
    sizes = {
        "vocab_size": 4096, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 30,
        "num_attention_heads": 4, "num_key_value_heads": 4, "eos_token_id": 0, "tie_word_embeddings": True,
    }  # fmt: skip
    return LlamaConfig(**(sizes | changes))


def peak(make: Callable[[], Any]) -> tuple[int, Any]:
    """Most bytes that torch held at a time beyond those it held before, and what was made."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        made = make()
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most, made


def num_bytes(model: PreTrainedModel) -> int:
    return sum(parameter.nbytes for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("keep", [True, False])
def test_the_peak_is_little_more_than_what_is_made(keep: bool, dtype: torch.dtype) -> None:
    text_model = LlamaForCausalLM(config()).to(dtype)
    before = {name: value.clone() for name, value in text_model.state_dict().items()}
    most, model = peak(lambda: SmolTolkForCausalLM.from_text_model(text_model, num_units=100, keep=keep))
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    new, text = num_bytes(model) - num_bytes(text_model), num_bytes(text_model)
    assert 0.1 * text < new < 0.13 * text  # four layers and a small table
    assert most <= (1.15 if keep else 0.15) * text + (8 << 20) * (dtype is torch.bfloat16)  # adapters begin in float32
    assert all(torch.equal(model.backbone.state_dict()[name], value) for name, value in before.items())
    shared = model.backbone.get_input_embeddings().weight is text_model.get_input_embeddings().weight
    assert shared != keep


@pytest.mark.parametrize("places", [[30, 31, 32], [10, 20, 32]])
def test_new_layers_cost_what_they_weigh(places: list[int]) -> None:
    text_model = LlamaForCausalLM(config())
    given = {"num_units": 100, "new_layers": places, "num_input_layers": 0, "num_output_layers": 0}
    most, model = peak(lambda: SmolTolkForCausalLM.from_text_model(text_model, **given))
    new, text = num_bytes(model) - num_bytes(text_model), num_bytes(text_model)
    assert 0.08 * text < new < 0.12 * text  # three layers and a small table
    assert most <= 1.08 * (text + new)
    assert not model.backbone.model.layers[0].mlp.up_proj.weight.is_set_to(
        text_model.model.layers[0].mlp.up_proj.weight
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_part_can_have_the_weights_that_it_would_have(dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    whole = AutoModelForCausalLM.from_config(config(num_hidden_layers=3), dtype=dtype)
    torch.manual_seed(3)
    made, make = partly_weightless(config(num_hidden_layers=3), dtype)
    before = torch.get_rng_state()
    make(made.model.layers[1])
    assert torch.equal(torch.get_rng_state(), before)
    assert made.model.layers[0].mlp.up_proj.weight.is_meta
    for name, value in whole.model.layers[1].named_parameters():
        assert torch.equal(value, made.model.layers[1].get_parameter(name)), name


@pytest.mark.parametrize(
    "changes", [{}, {"hidden_size": 48, "vocab_size": 37, "num_attention_heads": 2, "num_key_value_heads": 2}]
)
def test_random_numbers_go_on_as_behind_a_model_with_weights(
    changes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skeleton, "_PART", 1 << 10)
    states = []
    for make in (AutoModelForCausalLM.from_config, weightless):
        torch.manual_seed(3)
        make(config(num_hidden_layers=2, **changes))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_a_skeleton_with_weights_is_the_text_model() -> None:
    text_model = LlamaForCausalLM(config(num_hidden_layers=2)).eval()
    made = weightless(text_model.config)
    assert all(parameter.is_meta for parameter in made.parameters() if parameter.ndim > 1)
    assert not any(buffer.is_meta for buffer in made.buffers())
    put_weights(made, text_model)
    made.tie_weights()
    ids = torch.arange(9)[None]
    assert torch.equal(made.eval()(ids).logits, text_model(ids).logits)
    assert made.lm_head.weight is made.model.embed_tokens.weight
