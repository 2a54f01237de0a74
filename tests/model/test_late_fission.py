"""Top layers of speech's own: the output adapter as a copy of the backbone's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM

SPLIT = {
    "num_input_layers": 0,
    "num_output_layers": 2,
    "speech_residual": False,
    "layer_mix": "fixed",
    "fission_layer": 2,
    "copies_top_layers": True,
}
WINDOWS = {"head_dim": 8, "sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"] * 2}


def split(text_model: PreTrainedModel, **changes: Any) -> SmolTolkForCausalLM:
    return SmolTolkForCausalLM.from_text_model(text_model, num_units=20, **(SPLIT | changes)).eval()


@torch.no_grad()
def above(model: SmolTolkForCausalLM, input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """What the backbone's last block gives, before the final norm, and what the output adapter gives."""
    caught: list[Tensor] = []
    block = model.backbone.base_model.layers[-1] if hasattr(model.backbone.base_model, "layers") else None
    block = block or model.backbone.base_model.h[-1]
    hook = block.register_forward_hook(lambda _, args, output: caught.append(output))
    try:
        layers = model(input_ids, output_hidden_states=True).hidden_states
    finally:
        hook.remove()
    return (caught[0][0] if isinstance(caught[0], tuple) else caught[0]), model.late_fission.adapter(layers[2])[-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("architecture", "settings"), [("llama", {}), ("gpt2", {}), ("gemma3_text", WINDOWS), ("mixtral", {})]
)
def test_the_copy_is_the_top_of_the_backbone(
    architecture: str, settings: dict[str, Any], dtype: torch.dtype, make_text_model: Callable[..., PreTrainedModel]
) -> None:
    text_model = make_text_model(architecture, num_hidden_layers=4, **settings).to(dtype)
    model = split(text_model)
    expected, found = above(model, torch.tensor([[3, 4, 5, model.config.speech_offset]]))
    difference = (found - expected).abs().max() / expected.abs().max()
    assert difference < (1e-5 if dtype == torch.float32 else 3e-2)
    # A copy: what speech learns does not change what text is read from.
    own = {parameter.data_ptr() for parameter in model.backbone.parameters()}
    assert not own & {parameter.data_ptr() for parameter in model.late_fission.parameters()}


def test_the_output_adapter_reads_the_fixed_layer(make_text_model: Callable[..., PreTrainedModel]) -> None:
    model = split(make_text_model(num_hidden_layers=4), copies_top_layers=False, num_output_layers=1)
    ids = torch.tensor([[3, 4, 5, model.config.speech_offset]])
    with torch.no_grad():
        output = model(ids, output_hidden_states=True)
        speech = model.units.logits(model.late_fission.adapter(output.hidden_states[2])[-1])
    torch.testing.assert_close(output.logits[:, -1, model.config.speech_offset :], speech[:, -1])


def test_what_a_copy_cannot_be_made_of(make_text_model: Callable[..., PreTrainedModel]) -> None:
    # It adds positions to whatever it reads.
    with pytest.raises(InputError, match="XGLMForCausalLM: from the same states the copy computes something else"):
        split(make_text_model("xglm", num_hidden_layers=4))
    kinds = ["full_attention", "full_attention", "linear_attention", "full_attention"]
    with pytest.raises(InputError, match="Qwen3NextForCausalLM: some of its top layers do not attend"):
        settings = {"layer_types": kinds, "num_experts": 4, "num_experts_per_tok": 2}
        split(make_text_model("qwen3_next", num_hidden_layers=4, **settings))
