"""Which modality follows, and where documents begin: pure functions of ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from smoltolk.model.cache import History


def document_positions(document_ids: Tensor) -> Tensor:
    """Positions [B, T] that restart at 0 where the document [B, T] changes."""
    index = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
    return index - torch.where(document_starts(document_ids), index, 0).cummax(1).values


def document_starts(document_ids: Tensor) -> Tensor:
    """[B, T] bool: the first position of each document."""
    starts = torch.ones_like(document_ids, dtype=torch.bool)
    starts[:, 1:] = document_ids[:, 1:] != document_ids[:, :-1]
    return starts


def next_is_speech(
    input_ids: Tensor,
    switch_id: int,
    is_speech: Tensor,
    history: History | None = None,
    document_ids: Tensor | None = None,
) -> Tensor:
    """Whether speech follows each position.

    The next id has the modality of the current one; behind a ``<switch>`` it has the opposite of what stood before
    the ``<switch>``. A document that opens with ``<switch>`` goes on in speech.

    Args:
        input_ids: [B, T].
        switch_id: id of ``<switch>``.
        is_speech: [B, T] bool, by id.
        history: the flags of cached positions, if there are any.
        document_ids: [B, T], borders that nothing looks across.
    """
    if history is not None:
        before = history.previous(input_ids.shape[1])
    else:
        before = torch.cat([torch.zeros_like(is_speech[:, :1]), is_speech[:, :-1]], dim=1)
    if document_ids is not None:
        before = before & ~document_starts(document_ids)
    return torch.where(input_ids == switch_id, ~before, is_speech)
