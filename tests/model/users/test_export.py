"""torch.export: the time grid is exported, whatever its length; spans are refused by name (see docs/model.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]


class OnTheGrid(nn.Module):
    """Ids [B, T] -> logits [B, T, ids]."""

    def __init__(self, model: SmolTolkForCausalLM):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model(input_ids, use_cache=True).logits


@pytest.mark.parametrize("settings", [{"layer_mix_pool": "all", "predict_switch": True}], ids=["all"])
def test_the_grid_of_any_length(settings: dict[str, Any], make_model: Make, ids: Tensor, assert_close: Close) -> None:
    """Exported with some ids, run with others, whose spans lie elsewhere."""
    model = make_model(**settings)
    length = torch.export.Dim("length", min=3, max=100)
    with torch.no_grad():
        program = torch.export.export(
            OnTheGrid(model), (ids[:, :9].clone(),), dynamic_shapes=({1: length},), strict=False
        ).module()
        for other in (ids, ids.flip(0), ids[:, :17], ids.flip(1)):
            assert_close(program(other), model(other).logits)


def test_spans_are_refused(make_model: Make, ids: Tensor) -> None:
    """Their number and lengths are sizes of tensors, which a program cannot know before it sees the ids."""
    model = make_model()
    with torch.no_grad(), pytest.raises(InputError, match="use_cache=True"):
        torch.export.export(model, (ids,), strict=False)


def test_a_cache_of_the_backbone_alone_is_refused(make_model: Make) -> None:
    """The recipe of transformers for ExecuTorch keeps the layers it made itself: adapters would forget each step."""
    recipe = pytest.importorskip("transformers.integrations.executorch")
    model = make_model()
    model.generation_config.cache_implementation = "static"
    exported = recipe.TorchExportableModuleForDecoderOnlyLM(model, batch_size=1, max_cache_len=32)
    with pytest.raises(InputError, match="cache"):
        exported.export(input_ids=torch.tensor([[3]]), cache_position=torch.tensor([0]), strict=False)
