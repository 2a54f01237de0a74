"""Talking with a model that holds only so much."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.evaluation.generation import Sampling
from smoltolk.evaluation.talker import Talker
from smoltolk.model.modeling import SmolTolkForCausalLM


def test_a_prompt_leaves_room_to_answer(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=0, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12).eval()
    talker = Talker(model, byte_tokenizer)
    written = talker.go_on_writing("a" * 20, most=100, sampling=Sampling(temperature=5.0))
    assert 0 < len(byte_tokenizer(written)["input_ids"]) <= 3 * 12  # bytes that are no letter become three
    with pytest.raises(InputError, match="ids, the model holds 32\n"):
        talker.go_on_writing("a" * 40, most=1)
