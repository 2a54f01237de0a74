"""Text models that speech cannot be put around are told before anything is built."""

from __future__ import annotations

import pytest
from transformers import CTRLConfig, CTRLLMHeadModel, OpenAIGPTConfig, OpenAIGPTLMHeadModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM


def test_a_model_that_changes_its_states() -> None:
    text_model = CTRLLMHeadModel(CTRLConfig(vocab_size=20, n_embd=16, n_layer=1, n_head=2, dff=16, n_positions=32))
    with pytest.raises(InputError, match="leave the states it is given"):
        SmolTolkForCausalLM.from_text_model(text_model, num_units=5, eos_text_id=0)


def test_a_model_without_a_cache() -> None:
    text_model = OpenAIGPTLMHeadModel(OpenAIGPTConfig(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=32))
    with pytest.raises(InputError, match="no past_key_values"):
        SmolTolkForCausalLM.from_text_model(text_model, num_units=5, eos_text_id=0)
