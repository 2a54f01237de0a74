"""What the text model brought stays as it is, whoever trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
FROZEN = {"frozen_text_model": True, "new_layers": [1], "num_input_layers": 1, "num_output_layers": 0}


def trained(model: torch.nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_only_what_is_new_trains(make_model: Make, ids: Tensor, tmp_path: Path) -> None:
    model = make_model(**FROZEN)
    new = set(model.speech_parameters())
    assert {name.split(".")[0] for name in new} >= {"backbone", "units", "control_embed", "late_fusion", "layer_mix"}
    assert {name for name in new if name.startswith("backbone.")} == {
        name for name, _ in model.named_parameters() if name.startswith("backbone.model.layers.1.")
    }
    assert set(model.trainable_parameters()) == set(model.trainable_parameters(everything=False)) == new
    assert trained(model) == new

    model.save_pretrained(tmp_path)
    loaded = SmolTolkForCausalLM.from_pretrained(tmp_path)
    assert trained(loaded) == new
    loaded.train()(ids, labels=ids).loss.backward()
    assert {name for name, parameter in loaded.named_parameters() if parameter.grad is not None} == new


def test_without_it_everything_trains(model: SmolTolkForCausalLM) -> None:
    names = {name for name, _ in model.named_parameters()}
    assert set(model.trainable_parameters()) == trained(model) == names
    assert set(model.trainable_parameters(everything=False)) == set(model.speech_parameters()) < names


def test_adapters_of_peft_train(make_model: Make) -> None:
    tuned = get_peft_model(make_model(**FROZEN), LoraConfig(target_modules=["q_proj"]))
    tuned.base_model.model.tie_weights()
    assert trained(tuned) == {name for name, _ in tuned.named_parameters() if "lora_" in name}
