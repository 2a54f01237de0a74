"""What a text model can do, tried out where no setting of transformers tells."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import create_causal_mask

from smoltolk.common.errors import InputError

_TRIED = 4  # positions of each half of what a text model is tried on


@torch.no_grad()
def check_forward(text_model: PreTrainedModel) -> None:
    """Whether speech can be put in front of the model's layers and generated token by token.

    Raises:
        InputError: it takes no states, has no cache, or changes the states it is given.
    """
    decoder = text_model.base_model
    missing = {"inputs_embeds", "past_key_values"} - set(inspect.signature(decoder.forward).parameters)
    if missing:
        raise InputError(
            "a text model must take states instead of ids, and keep a cache",
            f"{type(text_model).__name__} knows no {' and no '.join(sorted(missing))}",
            "use a newer architecture of decoder-only text models",
        )
    states = _random_states(text_model, 1)
    given = states.clone()
    was_training = text_model.training
    text_model.eval()
    try:
        decoder(inputs_embeds=states, use_cache=False)
    finally:
        text_model.train(was_training)
    if not torch.equal(states, given):  # they are added again behind the layers, as the residual
        raise InputError(
            "a text model must leave the states it is given as they are",
            f"{type(text_model).__name__} changes them in place",
            "use another architecture of decoder-only text models",
        )


@torch.no_grad()
def packs_documents(text_model: PreTrainedModel) -> bool:
    """Whether the model keeps packed documents apart by positions that restart: tried, since no setting tells.

    The second of two documents must come out the same, to the bit, whatever the first one is.
    """
    position_ids = torch.arange(_TRIED, device=text_model.device).repeat(2)[None]
    return _keeps_apart(text_model, lambda states: {"position_ids": position_ids})


@torch.no_grad()
def masks_spans(text_model: PreTrainedModel) -> bool:
    """Whether the model takes a ready mask: tried, as in :func:`packs_documents`. ALiBi may take flags alone."""

    def mask(states: Tensor) -> dict[str, Any]:
        same = lambda batch, head, query, key: (query < _TRIED) == (key < _TRIED)  # noqa: E731
        made = create_causal_mask(
            config=text_model.config,
            inputs_embeds=states,
            attention_mask=None,
            past_key_values=None,
            and_mask_function=same,
        )
        return {"attention_mask": made, "position_ids": torch.arange(2 * _TRIED, device=states.device)[None]}

    try:
        return _keeps_apart(text_model, mask)
    except (ValueError, TypeError, RuntimeError, IndexError):
        return False


def _keeps_apart(text_model: PreTrainedModel, inputs: Callable[[Tensor], dict[str, Any]]) -> bool:
    """Whether the second half of a sequence comes out the same, to the bit, whatever the first half is.

    Args:
        text_model: left as it is.
        inputs: what else the model is given beside its states [1, 8, D].
    """
    first, other, second = _random_states(text_model, 3).split(1)
    was_training = text_model.training
    text_model.eval()
    try:
        behind = []
        for before in (first, other):
            states = torch.cat([before, second], dim=1)
            output = text_model.base_model(inputs_embeds=states, use_cache=False, **inputs(states))
            behind.append(output.last_hidden_state[:, _TRIED:])
    finally:
        text_model.train(was_training)
    return torch.equal(*behind)


def _random_states(text_model: PreTrainedModel, num_rows: int) -> Tensor:
    """[num_rows, 4, D]."""
    table = text_model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num_rows, _TRIED, table.shape[1], generator=generator).to(table)
