"""Negative log-likelihood of chosen ids, by any causal language model, without the logits of all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.loss import IGNORE, cross_entropy, of_rows
from smoltolk.model.text_models.text_head import TextHead


def id_nll(
    model: nn.Module,
    input_ids: Tensor,
    labels: Tensor,
    attention_mask: Tensor,
    codes: Tensor | None = None,
    past_key_values: Cache | None = None,
) -> Tensor:
    """NLL in nats of each label at its own place; the softmax is float32.

    A SmolTolk model answers by its own ``nll``. Of a causal LM of transformers the decoder runs, and its head over the
    states that something is predicted from, :data:`~smoltolk.model.loss.NUMBERS_AT_ONCE` logits at a time. Any other
    module must give ``logits [B, T, V]``, and needs the memory of all of them.

    Args:
        model: any of these.
        input_ids: [B, T].
        labels: [B, T], -100 where nothing is asked.
        attention_mask: [B, S], 0 at padding; S counts the positions before these, too.
        codes: [B, T, Q - 1], of a SmolTolk model of several codebooks.
        past_key_values: what the model made of the positions before these, which grows
            (:mod:`smoltolk.evaluation.prompt_cache`); of the first of these ids nothing is asked then.

    Returns:
        float32 [B, T], of several codebooks [B, T, Q] with text in the first; 0 where the label is -100, inf where the
        model cannot produce it.

    Raises:
        InputError: ids that a causal LM of transformers does not have.
    """
    own = getattr(model, "nll", None)
    if callable(own):  # of adapters of PEFT and compiled models too, which pass it on
        beside = {} if codes is None else {"codes": codes, "apart": True}
        before = {} if past_key_values is None else {"past_key_values": past_key_values}
        return own(input_ids, labels, attention_mask, **beside, **before)
    wanted = labels[:, 1:].flatten()
    rows = (wanted != IGNORE).nonzero().squeeze(1)
    inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
    if past_key_values is not None:
        inputs |= {"past_key_values": past_key_values, "use_cache": True}
    head: Callable[[Tensor], Tensor] = nn.Identity()
    if isinstance(model, PreTrainedModel) and model.base_model is not model:
        width = model.config.get_text_config().vocab_size
        if int(input_ids.max()) >= width:
            raise InputError(
                f"ids of this text model lie below {width}", f"{int(input_ids.max())}", "use the tokenizer that it has"
            )
        states = model.base_model(**inputs).last_hidden_state[:, :-1]
        text_head = TextHead()
        head = lambda chosen: text_head(model, chosen)  # noqa: E731
    else:
        states = model(**inputs).logits[:, :-1]
        width = states.shape[-1]
    found = of_rows(
        lambda chosen, columns: _nll(head(chosen), columns), states.flatten(0, 1), rows, wanted[rows], width
    )
    nll = torch.zeros(len(wanted), device=found.device).index_copy(0, rows, found)
    return F.pad(nll.view(len(labels), -1), (1, 0))


def _nll(logits: Tensor, labels: Tensor) -> Tensor:
    """[n, V] and [n] -> float32 [n]. What masks an id writes the smallest number of its type: that is impossible."""
    picked = logits.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    return cross_entropy(logits, labels).masked_fill(picked <= torch.finfo(logits.dtype).min, torch.inf)
