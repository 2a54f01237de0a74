"""Prompts of every kind and length, and a model whose choices are no matter of the last bit."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.model.modeling import SmolTolkForCausalLM


@pytest.fixture(scope="package")
def make_sharp(tokenizer):
    """``make_sharp(**settings)``: as the conftest's model, with weights far from alike."""

    def make(text_config=None, **settings):
        torch.manual_seed(0)
        text = text_config or LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, bos_token_id=0, eos_token_id=0, max_position_embeddings=400,
        )  # fmt: skip
        more = {"num_units": 12, "eos_text_id": 0, "num_input_layers": 1, "num_output_layers": 1} | settings
        made = SmolTolkForCausalLM.from_text_model(AutoModelForCausalLM.from_config(text), **more)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return made.eval()

    return make


@pytest.fixture(scope="package")
def sharp(make_sharp):
    """Read only."""
    return make_sharp()


@pytest.fixture(scope="package")
def prompts(sharp):
    """Prompt ids and the end of their continuation: heard, read, mixed, long and short."""
    space, rng = sharp.config.id_space, np.random.default_rng(0)

    def units(n):
        return rng.integers(0, 12, n)

    def text(n):
        return rng.integers(1, 300, n)

    made = []
    for n in (3, 90, 17, 1, 40):
        made.append((recognition_prompt(space, units(n)).input_ids, space.eos_text))
        made.append((synthesis_prompt(space, text(n)).input_ids, space.eos_speech))
        mixed = [(False, text(n)), (True, units(5)), (False, text(2))]
        made.append((mixed_prompt(space, mixed, continue_in_speech=True).input_ids, space.eos_speech))
        made.append((mixed_prompt(space, mixed[:2], continue_in_speech=True).input_ids, space.eos_speech))
    return made


@pytest.fixture
def private(sharp):
    """A copy to be broken."""
    return copy.deepcopy(sharp)
