from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.adapters import SpeechAdapter, _block_list, adapter_config

Make = Callable[..., PreTrainedModel]


def test_configuration_of_an_adapter(make_text_model: Make) -> None:
    text_config = make_text_model("gemma3_text", sliding_window=5, head_dim=8).config
    config = adapter_config(text_config, 2)
    assert config.num_hidden_layers == 2 and config.layer_types == ["full_attention"] * 2
    assert config.vocab_size == 1 and config.sliding_window > 100_000
    assert text_config.num_hidden_layers == 3 and text_config.sliding_window == 5  # left as it was


def test_states_are_not_scaled_like_embeddings(make_text_model: Make) -> None:
    assert adapter_config(make_text_model("granite", embedding_multiplier=12.0).config, 2).embedding_multiplier == 1


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


def test_a_model_without_blocks() -> None:
    with pytest.raises(InputError, match="must have a list of blocks"):
        _block_list(nn.Sequential(nn.Linear(2, 2)))
