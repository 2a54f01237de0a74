"""A model for whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.kinds import load_unit_tokenizer


@pytest.fixture(scope="session")
def model_dir(
    phone_units_dir: Path, byte_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A random model of the units of the tests."""
    units = load_unit_tokenizer(phone_units_dir)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    made = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=units.num_units, eos_text_id=0, num_input_layers=1, num_output_layers=1,
        unit_fingerprint=units.fingerprint,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("model") / "model"
    made.save_pretrained(place)
    byte_tokenizer.save_pretrained(place)
    return place
