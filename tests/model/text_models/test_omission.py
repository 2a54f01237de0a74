"""Text models that can leave positions out, and such that count them all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.omission import check_omission

Make = Callable[..., PreTrainedModel]
WINDOW = {
    "use_sliding_window": True,
    "sliding_window": 64,
    "layer_types": ["full_attention"] * 2 + ["sliding_attention"],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "bloom", "xglm", "mixtral"])
def test_what_can(architecture: str, dtype: torch.dtype, make_text_model: Make) -> None:
    text_model = make_text_model(architecture).to(dtype).train()
    check_omission(text_model)
    assert text_model.training


@pytest.mark.parametrize(
    ("architecture", "changes", "found"),
    [
        ("qwen2", WINDOW, "Qwen2ForCausalLM: layers of sliding_attention"),
        ("gpt_neo", {"attention_types": [[["global", "local", "local"], 1]]}, "GPTNeoForCausalLM: layers of local"),
        ("mpt", {}, "MptForCausalLM: with masked positions between them it computes something else"),
    ],
)
def test_what_cannot(architecture: str, changes: dict[str, Any], found: str, make_text_model: Make) -> None:
    text_model = make_text_model(architecture, **changes)
    with pytest.raises(InputError, match=f"unit patches need a text model.*\n.*{found}"):
        SmolTolkForCausalLM.from_text_model(text_model, num_units=20, patch_size=2)
    SmolTolkForCausalLM.from_text_model(text_model, num_units=20)
