"""Packed documents side by side, for text models that cannot keep them apart end to end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from smoltolk.model.codec.delays import SILENT
from smoltolk.model.spans import find_spans, gather, scatter

if TYPE_CHECKING:
    from smoltolk.model.modeling import SmolTolkForCausalLM
    from smoltolk.model.output import SmolTolkOutput


def side_by_side(
    model: SmolTolkForCausalLM,
    input_ids: Tensor,
    document_ids: Tensor,
    attention_mask: Tensor | None,
    labels: Tensor | None,
    *,
    codes: Tensor | None = None,
    logits_to_keep: int | Tensor = 0,
    **kwargs: Any,
) -> SmolTolkOutput:
    """Run each document of [B, T] as a row of its own, and put the outputs back to their places.

    Transformers tells packed documents apart by positions that restart, but a model without positions in its mask
    (OPT) or without positions at all (ALiBi) lets them see each other. A row for each document is right for all.

    Args:
        model: whose ``forward`` computes the rows.
        input_ids, document_ids: [B, T].
        attention_mask: [B, T], 1 for real positions, or None.
        labels: [B, T] or None.
        codes: [B, T, Q - 1] or None.
        logits_to_keep: as in ``forward``.
        kwargs: of ``forward``.
    """
    if attention_mask is not None:
        document_ids = document_ids.masked_fill(attention_mask == 0, -1)
    documents = find_spans(torch.ones_like(input_ids, dtype=torch.bool), document_ids)

    def rows(values: Tensor, filler: int) -> Tensor:
        return gather(values[..., None], documents)[..., 0].masked_fill(~documents.mask, filler)

    real = documents.mask if attention_mask is None else rows(attention_mask, 0)
    output = model(
        rows(input_ids, 0),
        attention_mask=real.long(),
        labels=None if labels is None else rows(labels, -100),
        codes=None if codes is None else gather(codes, documents).masked_fill(~documents.mask[..., None], SILENT),
        **kwargs,
    )

    def back(value: Tensor) -> Tensor:
        return scatter(value, documents, value.new_zeros(*input_ids.shape, value.shape[-1]))

    keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
    weights, states, code_logits = output.selector_weights, output.hidden_states, output.codebook_logits
    return replace(
        output,
        logits=None if output.logits is None else back(output.logits)[:, keep],
        codebook_logits=None
        if code_logits is None
        else back(code_logits.flatten(2))[:, keep].unflatten(-1, code_logits.shape[2:]),
        hidden_states=None if states is None else tuple(back(state) for state in states),
        selector_weights=back(weights) if weights is not None and weights.ndim == 3 else weights,
    )
