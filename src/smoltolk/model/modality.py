"""Which modality follows, and what stands before each position: pure functions of ids, padding and documents."""

from __future__ import annotations

import torch
from torch import Tensor


def document_starts(document_ids: Tensor) -> Tensor:
    """[B, T] bool: the first position of each document."""
    starts = torch.ones_like(document_ids, dtype=torch.bool)
    starts[:, 1:] = document_ids[:, 1:] != document_ids[:, :-1]
    return starts


def document_positions(document_ids: Tensor) -> Tensor:
    """Positions [B, T] that restart at 0 where the document [B, T] changes."""
    index = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
    return index - torch.where(document_starts(document_ids), index, 0).cummax(1).values


def previous(
    shape: torch.Size | tuple[int, ...],
    device: torch.device,
    document_ids: Tensor | None = None,
    real: Tensor | None = None,
) -> Tensor:
    """The place before each one, from which it is predicted: padding is passed over, wherever it stands.

    Args:
        shape, device: of the batch, (B, T).
        document_ids: [B, T]; nothing looks across their borders.
        real: [B, T] bool, False at padding.

    Returns:
        int64 [B, T]; -1 where nothing stands before.
    """
    index = torch.arange(shape[1], device=device).expand(tuple(shape))
    if real is None:
        before = index - 1
    else:
        last = torch.where(real, index, -1).cummax(1).values
        before = torch.cat([torch.full_like(last[:, :1], -1), last[:, :-1]], dim=1)
    if document_ids is not None:
        same = document_ids.gather(1, before.clamp(min=0)) == document_ids
        before = before.masked_fill(~same, -1)
    return before


def real_first(real: Tensor) -> Tensor:
    """Where the real positions of each row lie, in order, and behind them its padding: [B, T] places, from bool."""
    return (~real).to(torch.int8).argsort(dim=1, stable=True)


def at(flags: Tensor, place: Tensor) -> Tensor:
    """Flags [B, T] read at the places [B, N] of their rows; False where the place is -1."""
    return flags.gather(1, place.clamp(min=0)) & (place >= 0)


def next_is_speech(input_ids: Tensor, switch_id: int, is_speech: Tensor, before: Tensor) -> Tensor:
    """Whether speech follows each position.

    The next id has the modality of the current one; behind a ``<switch>`` it has the opposite of what stood before
    the ``<switch>``. A document that opens with ``<switch>`` goes on in speech.

    Args:
        input_ids: [B, T].
        switch_id: id of ``<switch>``.
        is_speech: [B, T] bool.
        before: [B, T] bool, whether what stands before each position is speech.
    """
    return torch.where(input_ids == switch_id, ~before, is_speech)
