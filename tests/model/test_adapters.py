from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.adapters import SpeechAdapter, adapter_config

Make = Callable[..., PreTrainedModel]


def test_configuration_of_an_adapter(make_text_model: Make) -> None:
    text_config = make_text_model("gemma3_text", sliding_window=5, head_dim=8).config
    config = adapter_config(text_config, 2)
    assert config.num_hidden_layers == 2 and config.layer_types == ["sliding_attention"] * 2
    assert config.vocab_size == 1 and config.sliding_window > 100_000
    assert text_config.num_hidden_layers == 3 and text_config.sliding_window == 5  # left as it was


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("gemma3_text", {"head_dim": 8, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
        ("mistral", {}),
        ("gpt_neo", {"attention_types": [[["local", "global", "local"], 1]], "window_size": 5}),
        ("modernbert-decoder", {"pad_token_id": 0, "local_attention": 10}),
    ],
)
@torch.no_grad()
def test_a_span_is_seen_whole(architecture: str, settings: dict[str, Any], make_text_model: Make) -> None:
    """Whatever the backbone's windows are: they are for texts of thousands of words."""
    adapter = SpeechAdapter(make_text_model(architecture, **({"sliding_window": 5} | settings)).config, 1).eval()
    states = torch.randn(1, 12, 32)
    other = states.clone()
    other[:, 0] += torch.randn(32)
    assert not torch.allclose(adapter(states)[0][:, -1], adapter(other)[0][:, -1], atol=1e-7, rtol=0)


@pytest.mark.parametrize("architecture", ["cohere2", "exaone4", "afmoe", "exaone_moe", "cohere2_moe", "smollm3"])
@torch.no_grad()
def test_where_some_layers_have_no_positions_adapters_are_made_of_the_others(
    architecture: str, make_text_model: Make
) -> None:
    kinds = {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}
    settings = {"no_rope_layers": [0, 1, 0]} if architecture == "smollm3" else kinds
    adapter = SpeechAdapter(make_text_model(architecture, **settings).config, 2).eval()
    states = torch.randn(1, 6, 32)
    swapped = states[:, [1, 0, 2, 3, 4, 5]]
    added, other = (adapter(x, all_layers=True)[0][:, -1] - x[:, -1] for x in (states, swapped))
    assert (added - other).norm() > 1e-4 * added.norm()


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [("granite", {"embedding_multiplier": 12.0}), ("afmoe", {"mup_enabled": True}), ("nanochat", {}), ("bloom", {})],
)
@torch.no_grad()
def test_states_are_not_scaled_or_normed_like_embeddings(
    architecture: str, settings: dict[str, Any], make_text_model: Make
) -> None:
    adapter = SpeechAdapter(make_text_model(architecture, **settings).config, 1).eval()
    states = 3 * torch.randn(1, 4, 32)
    read = adapter.model(inputs_embeds=states, output_hidden_states=True).hidden_states[0]
    torch.testing.assert_close(read, states)


def test_a_backbone_without_attention_layers(make_text_model: Make) -> None:
    text_config = make_text_model("lfm2", layer_types=["conv"] * 3).config
    with pytest.raises(InputError, match="has layers of conv alone"):
        adapter_config(text_config, 2)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "gpt_neox", "gemma2"])
def test_no_table_and_no_final_norm(architecture: str, make_text_model: Make) -> None:
    text_model = make_text_model(architecture)
    adapter = SpeechAdapter(text_model.config, 2)
    assert len(adapter.blocks) == 2
    blocks = sum(p.numel() for p in adapter.blocks.parameters())
    others = [name for name, _ in adapter.named_parameters() if not any(part.isdigit() for part in name.split("."))]
    assert all("position" in name or "wpe" in name for name in others)  # learned positions, where there are some
    assert blocks + sum(adapter.get_parameter(name).numel() for name in others) == sum(
        p.numel() for p in adapter.parameters()
    )


@torch.no_grad()
def test_blocks_are_the_backbones_own(make_text_model: Make) -> None:
    text_model = make_text_model()
    adapter = SpeechAdapter(text_model.config, 3)
    adapter.blocks.load_state_dict(text_model.base_model.layers.state_dict())
    text_model.base_model.norm = nn.Identity()
    states = torch.randn(2, 7, 32)
    expected = text_model.base_model(inputs_embeds=states, output_hidden_states=True)
    torch.testing.assert_close(adapter(states)[-1], expected.last_hidden_state)
    layers = adapter(states, all_layers=True)
    assert len(layers) == 3
    for found, wanted in zip(layers, expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_mask(make_text_model: Make) -> None:
    adapter = SpeechAdapter(make_text_model().config, 1)
    states = torch.randn(1, 6, 32)

    index = torch.arange(6)
    halves = ((index[:, None] >= 3) == (index >= 3)) & (index[:, None] >= index)
    found = adapter(states, adapter.mask(states, halves[None]))[-1]
    torch.testing.assert_close(found[:, :3], adapter(states[:, :3])[-1])
    torch.testing.assert_close(found[:, 3:], adapter(states[:, 3:])[-1])


def test_other_sizes(make_text_model: Make) -> None:
    size = {"hidden_size": 16, "intermediate_size": 20, "num_attention_heads": 2, "num_key_value_heads": 1}
    adapter = SpeechAdapter(make_text_model().config, 2, size)
    assert adapter(torch.randn(1, 4, 16))[-1].shape == (1, 4, 16)
    assert adapter.config.head_dim == 8
    assert adapter.blocks[0].mlp.up_proj.weight.shape == (20, 16)
    assert adapter_config(make_text_model("gpt2").config, 1, {"n_inner": 10, "hidden_size": 16}).n_embd == 16


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ({"hidden_size": 30}, "hidden_size 30, num_attention_heads 4"),
        ({"num_attention_heads": 4, "num_key_value_heads": 3}, "num_key_value_heads 3"),
        ({"width": 16}, "width in LlamaConfig"),
    ],
)
def test_sizes_that_do_not_fit(size: dict[str, int], found: str, make_text_model: Make) -> None:
    with pytest.raises(InputError, match=found):
        SpeechAdapter(make_text_model().config, 1, size)
