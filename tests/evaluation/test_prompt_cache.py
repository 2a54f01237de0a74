"""Which models can go on from what they made of a prompt; whatever cannot is scored as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from smoltolk.evaluation.prompt_cache import can_go_on, read_prompts, rows_of
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.systems import EARLY_FUSION

Make = Callable[..., Any]
HYBRID = {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 1, "use_mamba_kernels": False}


@pytest.fixture(scope="module")
def text_model() -> Make:
    def make(architecture: str = "llama", **changes: Any) -> PreTrainedModel:
        torch.manual_seed(0)
        sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
        ends = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": None}
        config = AutoConfig.for_model(architecture, **(sizes | heads | ends | changes))
        return AutoModelForCausalLM.from_config(config).eval()

    return make


@pytest.fixture(scope="module")
def around(text_model: Make) -> Make:
    def make(architecture: str = "llama", **settings: Any) -> SmolTolkForCausalLM:
        return SmolTolkForCausalLM.from_text_model(text_model(architecture), num_units=12, **settings).eval()

    return make


def same_either_way(model: Any) -> None:
    """Shared where that can be, the scores are those of whole sequences."""
    space = model.config.id_space if hasattr(model.config, "id_space") else None
    rng, low = np.random.default_rng(0), 2 if space is None else space.speech_offset
    before = [1 if space is None else space.eos_speech, *rng.integers(low, low + 12, 20)]
    sequences = [Scored([*before, *rng.integers(low, low + 12, length)], 21) for length in (3, 6, 5)]
    with patch.dict("smoltolk.evaluation.shared_prompts.CALLS", cpu=0):
        found = score(model, sequences, space=space).nll
    each = [score(model, [one], space=space).nll[0] for one in sequences]
    np.testing.assert_allclose(found, each, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "mistral", "bloom", "mpt", "opt", "gpt_neo", "qwen3_moe"])
def test_causal_models_that_keep_keys_and_values(architecture: str, text_model: Make) -> None:
    local = {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "window_size": 6}
    model = text_model(architecture, **(local if architecture == "gpt_neo" else {}))
    model.config.use_cache = False  # as trainers leave it
    assert can_go_on(model)
    same_either_way(model)


@pytest.mark.parametrize("architecture, changes", [("jamba", HYBRID), ("mamba", {}), ("bert", {}), ("openai-gpt", {})])
def test_other_text_models_do_not(architecture: str, changes: dict[str, Any], text_model: Make) -> None:
    model = text_model(architecture, **changes)
    assert not can_go_on(model)
    if architecture != "bert":  # which looks ahead: there is nothing to be kept
        same_either_way(model)


@pytest.mark.parametrize("settings", [{}, EARLY_FUSION, {"layer_mix": "static"}], ids=str)
def test_models_of_units(settings: dict[str, Any], around: Make) -> None:
    assert can_go_on(around(**settings))


def test_models_of_units_that_gain_nothing_or_are_other(around: Make) -> None:
    for architecture, settings in (
        ("llama", {"patch_size": 3}),
        ("llama", {"published_spans": True}),
        ("bloom", {}),  # its blocks take no ready mask
    ):
        model = around(architecture, **settings)
        assert not can_go_on(model), settings
        if not model.config.published_spans:  # whose scores depend on padding
            same_either_way(model)
    assert can_go_on(around("bloom", num_input_layers=0))  # without an adapter, nothing asks for one


def test_attention_that_minds_the_mask(around: Make, text_model: Make) -> None:
    for model in (around(), text_model()):
        model.base_model.config._attn_implementation_internal = "flash_attention_2"
        part = model.late_fission.adapter.model if isinstance(model, SmolTolkForCausalLM) else model
        part.config._attn_implementation_internal = "flash_attention_2"
        assert not can_go_on(model)


def test_adapters_of_peft(around: Make, text_model: Make) -> None:
    lora = LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)
    spoken = get_peft_model(around(), lora).eval()
    assert can_go_on(spoken)
    same_either_way(spoken)
    assert not can_go_on(get_peft_model(text_model(), lora))  # it is no model of transformers


def test_nothing_is_known_of_other_modules(uniform: torch.nn.Module) -> None:
    assert not can_go_on(uniform)
    assert not can_go_on(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("architecture", ["llama", "mistral"])
def test_rows_as_often_as_they_are_named(architecture: str, text_model: Make) -> None:
    """For one call; what it adds is kept nowhere."""
    model = text_model(architecture, **({"sliding_window": 4} if architecture == "mistral" else {}))
    ids = torch.randint(2, 50, (3, 9), generator=torch.Generator().manual_seed(0))
    rows = [2, 0, 0, 2]
    with torch.no_grad():
        read, _ = read_prompts(model, ids[:, :6], None)
        before = [layer.keys for layer in read.layers]
        for _ in range(2):
            chosen = rows_of(read, rows)
            found = model(ids[rows, 6:], past_key_values=chosen).logits
            torch.testing.assert_close(found, model(ids[rows]).logits[:, 6:], rtol=1e-5, atol=1e-5)
            assert chosen.get_seq_length() == read.get_seq_length() == 6
    assert all(layer.keys is keys for layer, keys in zip(read.layers, before, strict=True))
