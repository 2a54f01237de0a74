"""New layers among old ones: the deeper model computes what the text model does, and all of it can learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.text_models.identity import silence
from smoltolk.model.text_models.layers import block_list, with_new_layers

Make = Callable[..., PreTrainedModel]
# Of each kind what is taken away: a linear layer with or without a bias, experts, a norm behind them and one that
# multiplies by one more than its weight.
KINDS: dict[str, tuple[set[str], dict[str, Any]]] = {
    "llama": ({"self_attn.o_proj.weight", "mlp.down_proj.weight"}, {}),
    "gpt2": ({f"{part}.c_proj.{name}" for part in ("attn", "mlp") for name in ("weight", "bias")}, {}),
    "gpt_neox": (
        {f"{part}.{name}" for part in ("attention.dense", "mlp.dense_4h_to_h") for name in ("weight", "bias")},
        {"use_parallel_residual": True},
    ),
    "qwen2_moe": (
        {"self_attn.o_proj.weight", "mlp.experts.down_proj", "mlp.shared_expert.down_proj.weight"},
        {"moe_intermediate_size": 16, "num_experts": 4},
    ),
    "olmo2": ({"post_attention_layernorm.weight", "post_feedforward_layernorm.weight"}, {}),
    "gemma2": ({"post_attention_layernorm.weight", "post_feedforward_layernorm.weight"}, {"head_dim": 8}),
}


@pytest.mark.parametrize("architecture", KINDS)
def test_inserted_layers_add_nothing_and_learn(architecture: str, make_text_model: Make) -> None:
    silent, settings = KINDS[architecture]
    text_model = make_text_model(architecture, **settings)
    deeper = with_new_layers(text_model, [0, 2])
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        torch.testing.assert_close(deeper(ids).logits, text_model(ids).logits, rtol=1e-6, atol=1e-6)

    _, _, old = block_list(text_model, 3)
    _, _, blocks = block_list(deeper, 5)
    for place, source in ((0, 0), (2, 0)):
        copied = dict(old[source].named_parameters())
        changed = {name for name, value in blocks[place].named_parameters() if not torch.equal(value, copied[name])}
        assert changed == silent

    optimizer = torch.optim.Adam(deeper.parameters(), 1e-3)
    for _ in range(2):  # in the first step only the silent weights have a gradient
        optimizer.zero_grad()
        deeper(ids, labels=ids).loss.backward()
        optimizer.step()
    for place in (0, 2):
        # A bias of the keys has none: the softmax does not see it.
        still = {name for name, value in blocks[place].named_parameters() if value.grad.abs().max() < 1e-9}
        assert not {name for name in still if "k_proj.bias" not in name}
        with torch.no_grad():
            assert not torch.equal(deeper(ids).logits, text_model(ids).logits)


def test_a_block_that_is_never_the_identity(make_text_model: Make) -> None:
    class Doubled(nn.Module):
        def __init__(self, inner: nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
            return 2 * self.inner(hidden_states, **kwargs)

    text_model = make_text_model()
    text_model.model.layers[1] = Doubled(text_model.model.layers[1])
    with pytest.raises(InputError, match="LlamaForCausalLM: its blocks do more than that"):
        silence(text_model, [text_model.model.layers[1]])


def test_mode_is_kept(make_text_model: Make) -> None:
    assert with_new_layers(make_text_model("gpt2").train(), [1]).training
