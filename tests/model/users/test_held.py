"""What held when users' reports were tried, and must hold on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]


def made(model: SmolTolkForCausalLM, prompts: Tensor, modality: str = "any", **settings: Any) -> Tensor:
    settings = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 8, "do_sample": False} | settings
    return model.generate(prompts, **(generation_settings(model.config, modality) | settings))


@pytest.mark.parametrize("modality", ["text", "speech", "any"])
def test_assisted_decoding(
    modality: str, make_text_model: Callable[..., PreTrainedModel], make_model: Make, write: Callable[..., Tensor]
) -> None:
    """By a smaller model, by the model's own first layers' worth of it, and by looking up the prompt."""
    model = make_model(predict_switch=True)
    small = make_model(make_text_model(num_hidden_layers=1), predict_switch=True)
    for row in ("ttttsuu", "uuuuust", "tttt"):
        prompt = write(model.config.id_space, row)
        expected = made(model, prompt, modality)
        for settings in ({"assistant_model": small}, {"assistant_model": model}, {"prompt_lookup_num_tokens": 3}):
            assert torch.equal(made(model, prompt, modality, **settings), expected)


def test_stop_strings(make_model: Make, make_text_model: Callable, byte_tokenizer: Any) -> None:
    model = make_model(make_text_model(vocab_size=257, eos_token_id=0))
    prompt = byte_tokenizer("hello", return_tensors="pt")["input_ids"]
    free = made(model, prompt, "text", max_new_tokens=12)[0, prompt.shape[1] :]
    word = byte_tokenizer.decode(free[3:4])
    first = next(n for n, one in enumerate(free.tolist()) if word in byte_tokenizer.decode([one]))
    stopped = made(model, prompt, "text", max_new_tokens=12, stop_strings=[word], tokenizer=byte_tokenizer)
    assert torch.equal(stopped[0, prompt.shape[1] :], free[: first + 1])


def test_batches_of_both_modalities(make_model: Make, write: Callable[..., Tensor], padded: Callable) -> None:
    model = make_model(predict_switch=True)
    rows = [write(model.config.id_space, row)[0] for row in ("ttts", "uu", "tttsuuuustt", "uuus")]
    ids, mask = padded(rows, "left", 0)
    for settings in ({}, {"use_cache": False}, {"cache_implementation": "static"}, {"num_beams": 2}):
        together = made(model, ids, attention_mask=mask, eos_token_id=None, pad_token_id=0, **settings)
        for number, row in enumerate(rows):
            alone = made(model, row[None], eos_token_id=None, pad_token_id=0, **settings)
            assert torch.equal(together[number, ids.shape[1] :], alone[0, len(row) :])


def test_copies(settings: dict[str, Any], make_model: Make, ids: Tensor) -> None:
    model = make_model(**settings)
    with torch.no_grad():
        expected = model(ids).logits
        other = copy.deepcopy(model)
        assert torch.equal(other(ids).logits, expected)
        for parameter in other.parameters():
            parameter.zero_()
        assert torch.equal(model(ids).logits, expected)  # nothing of a copy is the model's own


def test_saved_in_many_files(settings: dict[str, Any], make_model: Make, ids: Tensor, tmp_path: Path) -> None:
    model = make_model(**settings)
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    loaded = SmolTolkForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=1e-6, atol=1e-5)


def test_dynamic_quantization(make_model: Make, ids: Tensor) -> None:
    """Every linear layer exchanged for another module: nothing reads the weights of one from outside."""
    model = make_model()

    class Rounded(torch.nn.Module):
        def __init__(self, linear: torch.nn.Linear):
            super().__init__()
            self.scale = linear.weight.detach().abs().amax(1, keepdim=True) / 127
            self.values = (linear.weight.detach() / self.scale).round().to(torch.int8)
            self.bias = linear.bias

        def forward(self, states: Tensor) -> Tensor:
            return torch.nn.functional.linear(states, self.values.to(states.dtype) * self.scale, self.bias)

    with torch.no_grad():
        expected = model(ids, labels=ids)
        for name, module in list(model.named_modules()):
            if type(module) is torch.nn.Linear:
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, Rounded(module))
        found = model(ids, labels=ids)
    assert not any(type(module) is torch.nn.Linear for module in model.modules())
    torch.testing.assert_close(found.loss, expected.loss, rtol=0.05, atol=0.05)
    made(model, ids[:1, :6], "speech")


# ---------------------------------------------------------------------- what a forward pass also gives


def test_attentions(make_text_model: Callable[..., PreTrainedModel], make_model: Make, write: Callable) -> None:
    """Of the backbone's layers, as its text model gives them."""
    text_model = make_text_model()
    text_model.set_attn_implementation("eager")
    model = make_model(text_model)
    model.set_attn_implementation("eager")
    text = write(model.config.id_space, "tttttt", "tttttt")
    with torch.no_grad():
        found = model(text, output_attentions=True)
        expected = text_model(text, output_attentions=True)
    assert model(text).attentions is None
    assert len(found.attentions) == model.config.num_layers
    for one, other in zip(found.attentions, expected.attentions, strict=True):
        torch.testing.assert_close(one, other)
    mixed = write(model.config.id_space, "tttsuu")
    settings = {"attention_mask": torch.ones_like(mixed), "max_new_tokens": 3, "do_sample": False}
    output = model.generate(
        mixed, return_dict_in_generate=True, output_attentions=True, output_hidden_states=True, **settings
    )
    steps = output.sequences.shape[1] - 6
    assert len(output.attentions) == len(output.hidden_states) == steps
    assert [layers[0].shape[-1] for layers in output.attentions] == [6 + n for n in range(steps)]
    assert torch.equal(output.sequences, model.generate(mixed, **settings))


def test_attentions_that_are_never_made(make_model: Make, ids: Tensor) -> None:
    """Fused attention makes none: None, as transformers has it, and no error in ``generate()``."""
    model = make_model()
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        found = model(ids, output_attentions=True)
    assert not any(isinstance(one, Tensor) for one in found.attentions or ())
    made(model, ids[:1, :6], "speech", output_attentions=True, return_dict_in_generate=True)
