"""Weights of eight bits: which they are, and that the model says nearly the same. It takes the extra int8."""

import copy
import sys

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import MissingExtraError
from smoltolk.inference.bundle import Bundle
from smoltolk.inference.eight_bits import in_eight_bits
from smoltolk.inference.speech_text import SpeechText
from smoltolk.model.modeling import SmolTolkForCausalLM


@pytest.fixture(scope="module")
def model() -> SmolTolkForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=True, eos_token_id=0,
    )  # fmt: skip
    return SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12).eval()


def test_without_the_extra(model: SmolTolkForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(MissingExtraError, match=r"smoltolk\[int8\]"):
        in_eight_bits(copy.deepcopy(model))


def test_linear_layers_are_small_and_tables_are_left(model: SmolTolkForCausalLM) -> None:
    pytest.importorskip("torchao")
    small = in_eight_bits(copy.deepcopy(model))
    linear = [module.weight for module in small.modules() if isinstance(module, nn.Linear)]
    eight = [weight for weight in linear if "Int8" in type(weight).__name__]
    assert len(eight) > 10
    tables = [module.weight for module in small.modules() if isinstance(module, nn.Embedding)]
    assert tables and all(type(weight) is nn.Parameter for weight in tables)
    ids = torch.randint(1, small.config.vocab_size - 2, (2, 20), generator=torch.Generator().manual_seed(0))
    ids = torch.where((ids >= 256) & (ids < small.config.speech_offset), 5, ids)
    with torch.inference_mode():
        wanted, found = model(ids).logits, small(ids).logits
    real = wanted > -1e30
    assert not torch.equal(found[real], wanted[real])
    assert (found - wanted)[real].norm() < 0.05 * wanted[real].norm()


def test_it_talks(bundle: Bundle) -> None:
    pytest.importorskip("torchao")
    talker = SpeechText.from_pretrained(bundle.path, device="cpu", int8=True)
    assert talker.say("A dog.").seconds > 0 and isinstance(talker.hear(talker.say("A dog.")), str)
