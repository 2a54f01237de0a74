"""Whether a text model can leave positions out: what unit patches ask of it while decoding."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import get_layer_types_and_kwargs

from smoltolk.common.errors import InputError
from smoltolk.model.text_models.layers import layer_wise

_KEPT = (True, False, False, True, True, False, True, False, False, True)


@torch.no_grad()
def check_omission(text_model: PreTrainedModel) -> None:
    """Whether positions that are masked in a cache count for nothing, as if the others stood side by side.

    Raises:
        InputError: some layer counts them: by a window, by distances in the cache, or in a state.
    """
    kinds, _ = get_layer_types_and_kwargs(text_model.config)
    counting = {*kinds, *layer_wise(text_model.config).get("attention_layers", ())} - {"full_attention", "global"}
    if counting:
        raise _refused(text_model, f"layers of {', '.join(sorted(counting))}")
    was_training = text_model.training
    text_model.eval()
    try:
        expected, found = _side_by_side(text_model), _masked(text_model)
    finally:
        text_model.train(was_training)
    if (found - expected).abs().max() > torch.finfo(expected.dtype).eps ** 0.5 * expected.abs().max():
        raise _refused(text_model, "with masked positions between them it computes something else")


def _side_by_side(text_model: PreTrainedModel) -> Tensor:
    states = _states(text_model)[:, torch.tensor(_KEPT)]
    return text_model.base_model(inputs_embeds=states, use_cache=False).last_hidden_state


def _masked(text_model: PreTrainedModel) -> Tensor:
    states, keep = _states(text_model), torch.tensor([_KEPT], device=text_model.device)
    cache, position_ids, parts, start = DynamicCache(config=text_model.config), keep.cumsum(1) - 1, [], 0
    for part in states.split([6, 1, 3], dim=1):
        end = start + part.shape[1]
        output = text_model.base_model(
            inputs_embeds=part,
            attention_mask=keep[:, :end].long(),
            position_ids=position_ids[:, start:end],
            past_key_values=cache,
            use_cache=True,
        )
        parts.append(output.last_hidden_state)
        start = end
    return torch.cat(parts, dim=1)[:, keep[0]]


def _states(text_model: PreTrainedModel) -> Tensor:
    """[1, 10, D]."""
    table = text_model.get_input_embeddings().weight
    return torch.randn(1, len(_KEPT), table.shape[1], generator=torch.Generator().manual_seed(0)).to(table)


def _refused(text_model: PreTrainedModel, found: str) -> InputError:
    return InputError(
        "unit patches need a text model that can leave positions out: each layer attends to all before it, and tells"
        " them apart by the positions it is given",
        f"{type(text_model).__name__}: {found}",
        "use patch_size=1 or another text model; if texts are shorter than its window, set sliding_window=None there",
    )
