"""The attention for small models on a CPU computes what transformers' own does."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.training.attention import cpu_attention, use_cpu_attention


@pytest.mark.parametrize("num_key_value_heads", [4, 2])
def test_it_equals_plain_attention_with_packed_documents_and_padding(num_key_value_heads):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=num_key_value_heads, attn_implementation="eager",
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    ids = torch.randint(0, 40, (2, 12))
    packed = {"position_ids": torch.tensor([[*range(5), *range(7)]] * 2), "use_cache": False}
    padded = {"attention_mask": torch.tensor([[0] * 3 + [1] * 9, [1] * 12])}
    grads, logits = [], []
    for switch in (lambda _: None, use_cpu_attention):
        switch(model)
        model.zero_grad()
        outputs = [model(input_ids=ids, **more).logits for more in ({}, packed, padded)]
        real = torch.cat([outputs[0].flatten(), outputs[1].flatten(), outputs[2][:, 3:].flatten()])
        real.square().sum().backward()
        logits.append(real.detach())
        grads.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    assert torch.allclose(logits[0], logits[1], atol=1e-6)
    assert torch.allclose(grads[0], grads[1], rtol=1e-4, atol=1e-5)


def test_what_it_does_not_know_is_refused():
    states = torch.zeros(1, 2, 3, 4)
    with pytest.raises(InputError, match="soft caps"):
        cpu_attention(torch.nn.Identity(), states, states, states, None, 1.0, softcap=30.0)
