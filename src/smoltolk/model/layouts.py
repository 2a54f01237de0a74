"""How the units of a batch lie before the input adapter, so that each span is seen alone.

Late fusion is one rule, "a span attends causally inside itself and sees nothing else", and four ways to compute it:

- :class:`SpanLayout`: training and scoring. Spans are cut out and laid side by side: no mask, no wasted positions.
- :class:`GridLayout`: decoding. The units stay on the time grid, so that the cache has one clock; a mask parts them.
- :class:`RunLayout`: decoding with blocks that take no ready mask, one run of columns after the other.
- :class:`PublishedLayout`: what one published code does otherwise, for its checkpoints.

Which of them is decided before the model computes anything (:mod:`smoltolk.model.reading`); the first three give the
same states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import Cache
from transformers.cache_utils import StaticLayer

from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.cache import History
from smoltolk.model.spans import SpanBatch, find_spans, gather, group_spans, scatter

Layers = tuple[Tensor, ...]


class Layout(Protocol):
    """Where the spans of a batch lie, and how the input adapter runs over them."""

    def compose(self, adapter: SpeechAdapter, units: Tensor, text: Tensor, *, all_layers: bool) -> Layers:
        """Run the adapter over each span alone.

        Args:
            adapter: the input adapter.
            units: [B, T, E], with the embedding of a padding unit at text positions.
            text: [B, T, D], text embeddings.
            all_layers: give the states behind each block; otherwise only those behind the last.

        Returns:
            Tensors [B, T, E] over the time grid. At text positions they hold what the adapter makes of a lone padding
            unit, where ``all_layers`` is asked for, and else something finite.
        """


@dataclass(frozen=True)
class SpanLayout:
    """Spans side by side, right-padded: what is padded lies in the future of what is real, so no mask is needed.

    Attributes:
        groups: the spans of the batch.
        is_speech: [B, T] bool.
        training: every parameter must have a gradient, even in a batch without speech.
    """

    groups: Sequence[SpanBatch]
    is_speech: Tensor
    training: bool = False

    @classmethod
    def of(
        cls,
        is_speech: Tensor,
        document_ids: Tensor | None = None,
        real: Tensor | None = None,
        *,
        training: bool = False,
    ) -> SpanLayout:
        """Find the spans of a batch; ``is_speech`` and the others as for :func:`smoltolk.model.spans.find_spans`."""
        return cls(group_spans(find_spans(is_speech, document_ids, real)), is_speech, training)

    def compose(self, adapter: SpeechAdapter, units: Tensor, text: Tensor, *, all_layers: bool) -> Layers:
        """See :class:`Layout`."""
        spoken = [group.to(units.device) for group in self.groups if group.num_spans]
        shared_out = _shared_out(adapter)
        if not spoken and not all_layers and not self.training and shared_out is None:
            return (units,)
        calls = max(1, len(spoken))
        more_calls = 0 if shared_out is None else _most_of_all(calls, shared_out) - calls
        padding = None
        if all_layers or not spoken:  # adapted alone, it stands at text positions
            place = self.is_speech.flatten().int().argmin()
            padding = units.flatten(0, 1).index_select(0, place[None])[None]  # [1, 1, E]
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
        unread = [adapter(units[:1, :1])[-1] for _ in range(more_calls)]
        composed = tuple(layer.expand_as(units) for layer in lone) or (units,)
        for group, layers in adapted:
            composed = tuple(scatter(layer, group, grid) for layer, grid in zip(layers, composed, strict=True))
        for states in unread:  # with no weight, and yet in the graph: backwards it is called as often
            composed = (*composed[:-1], composed[-1] + 0.0 * states)
        return composed


@dataclass(frozen=True)
class GridLayout:
    """The time grid with a mask: a span sees its own past, a text position, which holds a padding unit, only itself.

    Attributes:
        history: modalities of all positions so far.
        cache: the adapter's own view.
    """

    history: History
    cache: Cache

    def compose(self, adapter: SpeechAdapter, units: Tensor, text: Tensor, *, all_layers: bool) -> Layers:
        """See :class:`Layout`."""
        length = units.shape[1]
        mask = adapter.mask(units, self.history.visible(length))
        return adapter(units, mask, self.history.positions_in_span(length), self.cache, all_layers)


@dataclass(frozen=True)
class RunLayout:
    """The time grid for blocks that take no ready mask, only one flag per key: those with ALiBi, and hybrids.

    Between two changes of modality, in whatever row, all positions of a row see the same keys but for causality; so the
    columns are computed run by run.

    Attributes:
        history: modalities of all positions so far.
        cache: the adapter's own view.
    """

    history: History
    cache: Cache

    def compose(self, adapter: SpeechAdapter, units: Tensor, text: Tensor, *, all_layers: bool) -> Layers:
        """See :class:`Layout`."""
        length, is_speech = units.shape[1], self.history.is_speech
        start, total = int(self.history.start), is_speech.shape[1]
        static = isinstance(self.cache.layers[0], StaticLayer)
        positions = self.history.positions_in_span(length)
        text_before = (self.history.real & ~is_speech).cumsum(1)
        now = is_speech[:, start : start + length]
        changes = (now[:, 1:] != now[:, :-1]).any(0).nonzero().flatten() + 1
        parts = []
        for first, end in pairwise([0, *changes.tolist(), length]):
            column = start + first
            # A span, or on text the run alone, so that every query sees a key: all of them are the same padding unit
            # there, so that each comes out as it would alone.
            key = torch.arange(total, device=units.device)
            seen = torch.where(
                is_speech[:, column, None],
                is_speech & (text_before == text_before[:, column, None]),
                (key >= column)[None],
            ) & (key < start + end)
            mask = seen if static else seen[:, : start + end]
            parts.append(adapter(units[:, first:end], mask.long(), positions[:, first:end], self.cache, all_layers))
        composed = tuple(torch.cat(layers, dim=1) for layers in zip(*parts, strict=True))
        return composed


@dataclass(frozen=True)
class PublishedLayout:
    """Who sees whom, without packing, in the input adapter of ``vozlms/smoltolk_base`` (``forward_audio_only``).

    It cuts spans at the changes of modality and counts them wrongly where a row opens with speech: there each span but
    the first also sees the text right before it, and if the row closes with text, its last span sees nothing, itself
    included. What a position sees then depends on what follows, so this is for scoring whole rows, not for decoding.
    Where a row opens with text the mask is the right one.

    Attributes:
        is_speech: [B, T] bool.
    """

    is_speech: Tensor

    def compose(self, adapter: SpeechAdapter, units: Tensor, text: Tensor, *, all_layers: bool) -> Layers:
        """See :class:`Layout`; the text is among what the adapter reads."""
        grid = torch.where(self.is_speech[..., None], units, text)
        return adapter(grid, adapter.mask(grid, self.visible()), all_layers=all_layers)

    def visible(self) -> Tensor:
        """[B, T, T] bool: whether a query (dimension 1) sees a key (dimension 2), causality included."""
        is_speech = self.is_speech
        changes = is_speech[:, 1:] != is_speech[:, :-1]
        run = changes.new_zeros(is_speech.shape).long()  # number of the stretch of one modality, from 0
        run[:, 1:] = changes.cumsum(1)
        opens, closes = is_speech[:, :1], is_speech[:, -1:]
        blind = is_speech & opens & ~closes & (run == run[:, -1:] - 1)
        behind = run[:, :, None] - run[:, None, :]  # stretches from the key to the query
        spans = ((behind == 0) | ((behind == 1) & opens[..., None])) & ~blind[..., None]
        index = torch.arange(is_speech.shape[1], device=is_speech.device)
        own, past = index[:, None] == index, index[:, None] >= index
        return torch.where(is_speech[..., None], spans & past, own)


def _shared_out(module: torch.nn.Module) -> DTensor | None:
    """A parameter of which several processes hold parts, if the module has one."""
    return next((one for one in module.parameters() if isinstance(one, DTensor)), None)


def _most_of_all(calls: int, shared_out: DTensor) -> int:
    """The most calls of a module in any of the processes that hold parts of its parameters.

    Each call brings the parts together, so all must call it equally often. One call for all spans would be equal too,
    but as wide as the longest for each of them: several times the positions.
    """
    mesh = shared_out.device_mesh
    most = torch.tensor(calls, device=mesh.device_type)
    for group in mesh.get_all_groups():
        dist.all_reduce(most, dist.ReduceOp.MAX, group)
    return int(most)
