"""Packed documents side by side, for text models that cannot keep them apart end to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from smoltolk.model.codec.delays import SILENT
from smoltolk.model.loss import IGNORE
from smoltolk.model.modality import previous
from smoltolk.model.output import SmolTolkOutput
from smoltolk.model.reading import check_padding
from smoltolk.model.spans import SpanBatch, find_spans, gather, scatter


def documents_as_rows(
    forward: Callable[..., SmolTolkOutput],
    input_ids: Tensor,
    document_ids: Tensor,
    *,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    labels: Tensor | None = None,
    codes: Tensor | None = None,
    logits_to_keep: int | Tensor = 0,
    **more: Any,
) -> SmolTolkOutput:
    """Run each document of [B, T] as a row of its own, and put the outputs back to their places.

    Transformers tells packed documents apart by positions that restart, but a model without positions in its mask
    (OPT) or without positions at all (ALiBi) lets them see each other. A row for each document is right for all.

    Args:
        forward: of the model; computes the rows.
        input_ids, document_ids: [B, T].
        attention_mask: [B, T], 1 for real positions, or None.
        position_ids: [B, T] or None: each document counts from 0.
        labels: [B, T] or None.
        codes: [B, T, Q - 1] or None.
        logits_to_keep: as in ``forward``.
        more: of ``forward``, for the rows as it is for the batch.

    Raises:
        InputError: padding inside of a document.
    """
    if attention_mask is not None:
        real = attention_mask.bool()
        check_padding(previous(input_ids.shape, input_ids.device, document_ids, real), real)
        document_ids = document_ids.masked_fill(attention_mask == 0, -1)
    documents = find_spans(torch.ones_like(input_ids, dtype=torch.bool), document_ids)

    def rows(values: Tensor | None, filler: int) -> Tensor | None:
        return None if values is None else _cut(values[..., None], documents, filler)[..., 0]

    output = forward(
        rows(input_ids, 0),
        attention_mask=documents.mask.long() if attention_mask is None else rows(attention_mask, 0),
        position_ids=rows(position_ids, 0),
        labels=rows(labels, IGNORE),
        codes=None if codes is None else _cut(codes, documents, SILENT),
        **more,
    )

    def back(value: Tensor) -> Tensor:
        """[rows, longest, ...] -> [B, T, ...]"""
        flat = value.flatten(2) if value.ndim > 2 else value[..., None]
        placed = scatter(flat, documents, flat.new_zeros(*input_ids.shape, flat.shape[-1]))
        return placed.view(*input_ids.shape, *value.shape[2:])

    kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
    weights = output.selector_weights
    return replace(
        output,
        logits=None if output.logits is None else back(output.logits)[:, kept],
        codebook_logits=None if output.codebook_logits is None else back(output.codebook_logits)[:, kept],
        nll=None if output.nll is None else back(output.nll),
        label_nll=None if output.label_nll is None else back(output.label_nll),
        hidden_states=None if output.hidden_states is None else tuple(map(back, output.hidden_states)),
        selector_weights=back(weights) if weights is not None and weights.ndim == 3 else weights,
    )


def _cut(values: Tensor, documents: SpanBatch, filler: int) -> Tensor:
    """[B, T, E] -> [documents, longest, E]"""
    return gather(values, documents).masked_fill(~documents.mask[..., None], filler)
