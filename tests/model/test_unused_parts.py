"""A batch may lack a modality: every parameter still gets a gradient, as data parallel training demands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM

VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "early fusion": {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False},
    "untied": {"tie_speech_embeddings": False},
    "no residual": {"speech_residual": False},
    "split top layers": {
        "num_input_layers": 0,
        "speech_residual": False,
        "layer_mix": "fixed",
        "fission_layer": 1,
        "copies_top_layers": True,
    },
    "pool of all": {"layer_mix_pool": "all", "layer_mix_norm": True, "speech_residual": False},
    "narrow": {
        "speech_residual": False,
        "layer_mix_pool": "all",
        "input_adapter_size": {"hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1},
        "output_adapter_size": {"hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("row", ["tttttttt", "uuuuuuuu"])
def test_no_parameter_goes_without_gradient(
    row: str,
    variant: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Callable[..., SmolTolkForCausalLM],
    write: Callable[..., Tensor],
    gradients: Callable[..., dict[str, Tensor]],
) -> None:
    model = make_model(make_text_model(tie_word_embeddings=False), **VARIANTS[variant])
    ids = write(model.config.id_space, row)
    found = gradients(model, input_ids=ids, labels=ids)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in found.values())


def test_what_was_not_heard_gets_zeros(
    model: SmolTolkForCausalLM, write: Callable[..., Tensor], gradients: Callable[..., dict[str, Tensor]]
) -> None:
    ids = write(model.config.id_space, "tttttttt")
    found = gradients(model, input_ids=ids, labels=ids)
    silent = {
        name for name in found if name.startswith(("late_fusion.adapter.", "late_fission.adapter.", "units.embed."))
    }
    assert silent and all(not found[name].any() for name in silent)
    assert any(gradient.any() for name, gradient in found.items() if name.startswith("backbone."))


@torch.no_grad()
def test_the_zero_changes_nothing(model: SmolTolkForCausalLM, write: Callable[..., Tensor]) -> None:
    ids = write(model.config.id_space, "tttttttt")
    expected = model(ids, labels=ids).loss
    found = model.train()(ids, labels=ids).loss
    model.eval()
    assert torch.equal(found, expected)
