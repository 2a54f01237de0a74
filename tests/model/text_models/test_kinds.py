"""Text models as people have them: taken, or refused with the way out; by name, directory or instance alike."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    LlamaModel,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)  # fmt: skip

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import load_text_model, own_text_model

Make = Callable[..., PreTrainedModel]
LORA = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")


def _refused(text_model: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        SmolTolkForCausalLM.from_text_model(text_model, num_units=5)
    return caught.value


def test_adapters_of_peft(make_text_model: Make, tmp_path: Path) -> None:
    """As a PeftModel, as the model inside of it, by transformers' own `add_adapter`, and as a directory."""
    wrapped = get_peft_model(make_text_model(), LORA)
    injected = make_text_model()
    injected.add_adapter(LORA)
    for text_model in (wrapped, wrapped.base_model.model, injected):
        assert "merge_and_unload" in _refused(text_model).fix
    wrapped.save_pretrained(tmp_path / "lora")
    wrapped.config.save_pretrained(tmp_path / "lora")  # as some training scripts leave it there
    wrapped.save_pretrained(tmp_path / "alone")
    for folder in ("lora", "alone"):
        error = _refused(str(tmp_path / folder))
        assert "adapter_config.json" in error.found and "merge_and_unload" in error.fix
    merged = wrapped.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    ids = torch.arange(2, 9)[None]
    for text_model in (merged, str(tmp_path / "merged")):
        torch.testing.assert_close(own_text_model(text_model)(ids).logits, merged(ids).logits)


def test_quantized(make_text_model: Make, tmp_path: Path) -> None:
    """Told from the configuration: the packages that would load it are often not there."""
    text_model = make_text_model()
    text_model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    config.quantization_config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    config.save_pretrained(tmp_path)
    assert "is quantized" in _refused(str(tmp_path)).found
    text_model.is_quantized = True
    assert "is quantized" in _refused(text_model).found


def test_a_smoltolk_model(model: SmolTolkForCausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    for given in (model, str(tmp_path)):
        error = _refused(given)
        assert "is a SmolTolk model" in error.found and "text model that it was made from" in error.fix


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (T5ForConditionalGeneration, T5Config(vocab_size=20, d_model=8, d_ff=8, num_layers=1, num_heads=2, d_kv=4)),
        (
            BartForConditionalGeneration,
            BartConfig(vocab_size=60, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                       decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8),
        ),
    ],
)  # fmt: skip
def test_encoder_decoders(kind: type[PreTrainedModel], config: Any, tmp_path: Path) -> None:
    text_model = kind(config)
    text_model.save_pretrained(tmp_path)
    for given in (text_model, str(tmp_path)):
        assert "has an encoder" in _refused(given).found


def test_embeddings_in_every_layer(tiny: ModuleType, tmp_path: Path) -> None:
    """Gemma 3n and 4, by their configuration alone: Gemma 3n would need further packages to be loaded."""
    AutoConfig.for_model("gemma3n").save_pretrained(tmp_path)
    for given in (str(tmp_path), tiny.tiny_text_model("gemma4"), tiny.tiny_text_model("gemma3n_text")):
        error = _refused(given)
        assert "hidden_size_per_layer_input" in error.found and "Gemma 3" in error.fix


def test_what_is_no_language_model(make_text_model: Make) -> None:
    text_model = make_text_model()
    assert "LlamaModel has no head" in _refused(LlamaModel(text_model.config)).found
    assert _refused(torch.nn.Linear(2, 2)).found == "Linear"
    offloaded = copy.deepcopy(text_model)
    offloaded.model.layers[0].to("meta")
    assert "offloaded" in _refused(offloaded).found


@torch.no_grad()
def test_the_text_part_of_a_model_that_sees(tiny: ModuleType, tmp_path: Path) -> None:
    """Multimodal Gemma 3 is a text model of its own with eyes."""
    whole = tiny.tiny_text_model("gemma3").train()
    whole.save_pretrained(tmp_path)
    ids = torch.arange(2, 12)[None]
    whole.eval()
    expected = whole(input_ids=ids).logits
    whole.train()
    for given in (whole, str(tmp_path)):
        text = own_text_model(given)
        assert type(text).__name__ == "Gemma3ForCausalLM" and text.training == (given is whole)
        torch.testing.assert_close(text.eval()(input_ids=ids).logits, expected)
        model = SmolTolkForCausalLM.from_text_model(given, num_units=5).eval()
        torch.testing.assert_close(model(ids).logits[..., :61], expected)
    assert whole.training and whole.config.text_config.vocab_size == 61
    text.base_model.norm.weight.add_(1)
    whole.eval()
    torch.testing.assert_close(whole(input_ids=ids).logits, expected)  # a copy


def test_a_text_part_that_is_no_text_model(tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny.tiny_text_model("gemma3")
    rule = "the part that knows text must be a text model of its own"
    with monkeypatch.context() as patched, pytest.raises(InputError, match=rule):
        patched.setattr(whole, "get_decoder", lambda: whole.model.vision_tower)
        own_text_model(whole)
    with monkeypatch.context() as patched, pytest.raises(InputError, match="its text part makes other logits"):
        other = torch.nn.Linear(32, 61, bias=False)
        patched.setattr(whole, "get_output_embeddings", lambda: other)
        own_text_model(whole)


@pytest.mark.parametrize("name", ["a/model/that/is/not", "."])
def test_nothing_loadable(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="AutoModelForCausalLM can load"):
        load_text_model(name)


def test_loaded_ones_are_left_as_they_are(make_text_model: Make) -> None:
    text_model = make_text_model()
    own = own_text_model(text_model)
    assert own is not text_model and type(own) is type(text_model)
    assert not {p.data_ptr() for p in own.parameters()} & {p.data_ptr() for p in text_model.parameters()}
    assert isinstance(own, type(AutoModelForCausalLM.from_config(text_model.config)))
