"""The input adapter over whole batches of spans, in training and scoring."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.spans import SpanBatch, gather, join_spans

Layers = tuple[Tensor, ...]


def adapt_spans(
    adapter: SpeechAdapter,
    units: Tensor,
    groups: Sequence[SpanBatch],
    padding: Tensor | None,
    all_layers: bool,
) -> tuple[list[tuple[SpanBatch, Layers]], Layers]:
    """Run the adapter over each group of spans.

    Side by side and right-padded, spans need no mask: what is padded lies in the future of what is real.

    Args:
        adapter: the input adapter.
        units: [B, T, E] embeddings of units.
        groups: the spans of the batch. Where several processes share out the adapter's parameters (FSDP), they are
            joined: each process must call the adapter equally often, however many groups its rows have.
        padding: [1, 1, E], a unit to be adapted alone, as a span of its own; None: not wanted.
        all_layers: as in :meth:`~smoltolk.model.adapters.SpeechAdapter.forward`.

    Returns:
        Each group that has spans with what the layers make of them, [num_spans, longest, E] each; and what they make of
        the padding, [1, 1, E] each, or nothing.
    """
    spoken = [group.to(units.device) for group in groups if group.num_spans]
    if len(spoken) > 1 and shares_out(adapter):
        spoken = [join_spans(spoken)]
    lone: Layers = ()
    adapted = []
    for group in spoken:
        states, extra = gather(units, group), padding is not None and not lone
        if extra:  # one row more, not one call more
            states = torch.cat([padding.expand(1, group.longest, -1), states])  # type: ignore[union-attr]
        layers = adapter(states, all_layers=all_layers)
        if extra:
            lone, layers = tuple(layer[:1, :1] for layer in layers), tuple(layer[1:] for layer in layers)
        adapted.append((group, layers))
    if padding is not None and not lone:
        lone = adapter(padding, all_layers=all_layers)
    return adapted, lone


def shares_out(module: nn.Module) -> bool:
    """Whether several processes hold parts of the module's parameters."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())
