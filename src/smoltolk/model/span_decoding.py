"""Decoding of speech spans by blocks that take no ready mask: those with ALiBi, and hybrids."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import StaticLayer

from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.cache import History


def decode_runs(
    adapter: SpeechAdapter, states: Tensor, history: History, cache: Cache, all_layers: bool = False
) -> tuple[Tensor, ...]:
    """The input adapter over cached spans for blocks that take no ready mask, only one flag per key.

    Between two changes of modality, in whatever row, all positions of a row see the same keys but for causality; so the
    columns are computed run by run.

    Args:
        adapter: the input adapter.
        states: [B, T, D] of the current positions.
        history: with their flags.
        cache: the adapter's own view.
        all_layers: as in :meth:`SpeechAdapter.forward`, and so is what it returns.
    """
    length, is_speech = states.shape[1], history.is_speech
    start, total = int(history.start), is_speech.shape[1]
    static = isinstance(cache.layers[0], StaticLayer)
    positions = history.positions_in_span(length)
    text_before = (~is_speech).cumsum(1)
    now = is_speech[:, start : start + length]
    changes = (now[:, 1:] != now[:, :-1]).any(0).nonzero().flatten() + 1
    borders = [0, *changes.tolist(), length]
    parts = []
    for first, end in pairwise(borders):
        column = start + first
        # A span, or on text the run alone, so that every query sees a key: what comes out there is not used.
        key = torch.arange(total, device=states.device)
        seen = torch.where(
            is_speech[:, column, None],
            is_speech & (text_before == text_before[:, column, None]),
            (key >= column)[None],
        ) & (key < start + end)
        mask = seen if static else seen[:, : start + end]
        parts.append(adapter(states[:, first:end], mask.long(), positions[:, first:end], cache, all_layers))
    return tuple(torch.cat(layers, dim=1) for layers in zip(*parts, strict=True))
