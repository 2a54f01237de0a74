"""Unit patches: the backbone sees several units of a span as one position, and so a shorter sequence.

With patches of P units a position is *kept* for the backbone if it is text or the last one of a full patch of its span;
there stands the mean of the patch's composed units. What a span leaves over behind its last full patch is added, as a
mean, to the text that follows it, so nothing that was heard is lost. Every position, kept or not, is then expressed
from the backbone's states at the last kept position up to it: of an unfinished patch the backbone knows nothing yet,
the output adapter does, by the residual.

Without a cache the kept positions of each row are moved to the left, and what the backbone makes of them back to the
time grid. With a cache everything stays on the time grid, so that it has one clock; positions that are not kept are
masked, and the cache remembers composed units and mixed states for patches that reach into the next call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers import Cache

from smoltolk.common.errors import InputError
from smoltolk.model.cache import DecodingState
from smoltolk.model.layer_mix import Mixed
from smoltolk.model.modality import at, document_starts, previous
from smoltolk.model.spans import span_starts

_LENGTHS = 16  # lengths of the backbone's sequence are multiples: matrix libraries prepare code for each new one


class Patches(Protocol):
    """What the backbone reads of a batch, and where its states go. N positions of the backbone, T of the time grid.

    Attributes:
        attention_mask, position_ids: the backbone's, [B, S] and [B, N].
    """

    @property
    def attention_mask(self) -> Tensor | None: ...

    @property
    def position_ids(self) -> Tensor | None: ...

    def pool(self, fused: Tensor) -> Tensor:
        """Composed units and text [B, T, D] -> what the backbone reads, [B, N, D]."""

    def spread(self, mixed: Mixed) -> Mixed:
        """What the layer mix made at N positions, for each of T."""

    def on_grid(self, states: Tensor) -> Tensor:
        """The backbone's states [B, N, D] -> [B, T, D]; with a cache they count only at positions that are kept."""


@dataclass(frozen=True)
class SingleUnits:
    """The paper's model: the backbone sees every unit."""

    attention_mask: Tensor | None
    position_ids: Tensor | None

    def pool(self, fused: Tensor) -> Tensor:
        """See :class:`Patches`."""
        return fused

    def spread(self, mixed: Mixed) -> Mixed:
        """See :class:`Patches`."""
        return mixed

    def on_grid(self, states: Tensor) -> Tensor:
        """See :class:`Patches`."""
        return states


@dataclass(frozen=True)
class UnitPatches:
    """Patches of P units. S: places on the time grid, those of the cache included.

    Attributes:
        attention_mask, position_ids: as for :class:`Patches`.
        own: int64 [B, N], the place in S where each position of the backbone stands.
        is_text: bool [B, N], whether that is text, which is read there itself.
        units: int64 [B, N, P], the places in S of the latest units up to there, from the last one on.
        num_units: int64 [B, N], how many of them are pooled into it.
        source: int64 [B, T], which of the mixed states each position is expressed from; -1: of none.
        state: where units and mixed states are remembered.
    """

    attention_mask: Tensor | None
    position_ids: Tensor | None
    own: Tensor
    is_text: Tensor
    units: Tensor
    num_units: Tensor
    source: Tensor
    state: DecodingState

    @classmethod
    def of(
        cls, size: int, is_speech: Tensor, real: Tensor | None, document_ids: Tensor | None, state: DecodingState
    ) -> UnitPatches:
        """Find the patches of a batch.

        Args:
            size: P.
            is_speech, real, document_ids: [B, T], as in :class:`smoltolk.model.reading.Reading`.
            state: with the modalities of all positions so far, if there is a cache.
        """
        T, history = is_speech.shape[1], state.history
        if history is not None:
            is_speech, real = history.is_speech, history.real
        elif real is None:
            real = torch.ones_like(is_speech)
        num_spoken, spoken = _in_order(is_speech)
        at_start = torch.where(span_starts(is_speech, document_ids, real), num_spoken, 0).cummax(1).values
        so_far = (num_spoken - at_start) % size + 1  # units of its patch up to each one
        before = previous(is_speech.shape, is_speech.device, document_ids, real)
        left_over = so_far.gather(1, before.clamp(min=0)) % size * at(is_speech, before)
        num_units = torch.where(is_speech, so_far, left_over)
        keep = real & (~is_speech | (so_far == size))
        num_kept, kept = _in_order(keep)
        kept_before = torch.zeros_like(num_kept)  # in earlier documents
        if document_ids is not None:
            kept_before = torch.where(document_starts(document_ids), num_kept - keep.long(), 0).cummax(1).values
        position = (num_kept - kept_before - 1).clamp(min=0)
        latest = (num_kept - 1).masked_fill(num_kept == kept_before, -1)  # kept one up to each position

        mask = position_ids = None
        if history is None:
            own, beyond = _to_the_left(num_kept[:, -1:], kept, T)
            if document_ids is not None:  # told apart by positions that restart; what is beyond goes on
                position_ids = position.gather(1, own) + beyond
            source = latest
        else:
            own = torch.arange(T, device=keep.device).expand(len(keep), T) + history.start
            mask, position_ids = keep.long(), position.gather(1, own)
            if isinstance(history.start, int):  # else the cache has a fixed size
                mask = mask[:, : history.start + T]
            source = kept.gather(1, latest.clamp(min=0)).masked_fill(latest < 0, -1).gather(1, own)
        order = num_spoken.gather(1, own)[..., None] - 1 - torch.arange(size, device=own.device)
        units = spoken.gather(1, order.clamp(min=0).flatten(1)).view_as(order)
        return cls(
            mask,
            position_ids,
            own,
            ~is_speech.gather(1, own),
            units,
            num_units.gather(1, own),
            source,
            state,
        )

    def pool(self, fused: Tensor) -> Tensor:
        """See :class:`Patches`."""
        stored, _ = _remember(self.state.units, fused, fused[..., :1])
        pooled = _take(stored, self.own) * self.is_text[..., None]
        for number, place in enumerate(self.units.unbind(-1)):
            share = (number < self.num_units) / self.num_units.clamp(min=1)
            pooled = pooled + _take(stored, place) * share[..., None].to(stored.dtype)
        return pooled

    def spread(self, mixed: Mixed) -> Mixed:
        """See :class:`Patches`."""
        if mixed.entropy is None or mixed.weights is None:
            state, _ = self._spread(mixed.state, mixed.state[..., :1])
            return mixed._replace(state=state)
        state, told = self._spread(mixed.state, torch.cat([mixed.weights, mixed.entropy[..., None]], dim=-1))
        return Mixed(state, told[..., :-1], told[..., -1])

    def on_grid(self, states: Tensor) -> Tensor:
        """See :class:`Patches`."""
        return states if self.state.history is not None else self._at_source(states)

    def _spread(self, states: Tensor, more: Tensor) -> tuple[Tensor, Tensor]:
        states, more = _remember(self.state.mixed, states, more)
        return self._at_source(states), self._at_source(more)

    def _at_source(self, states: Tensor) -> Tensor:
        return _take(states, self.source.clamp(min=0)).masked_fill(self.source[..., None] < 0, 0)


def _in_order(flags: Tensor) -> tuple[Tensor, Tensor]:
    """How many of the flags [B, S] hold up to each place, and the places of those that hold, in order, then others."""
    return flags.cumsum(1), torch.argsort(~flags, dim=1, stable=True)


def _to_the_left(num_kept: Tensor, kept: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The places [B, N] of all that are kept, side by side, and how far beyond the last one [B, N].

    Rows with fewer repeat the last one: it lies in the future of what is real there, so no mask is needed. N depends on
    the values, for which an accelerator is waited for.
    """
    if torch.compiler.is_exporting():
        raise InputError(
            "how many positions the backbone sees is a size that only the ids tell, which no exported program can know",
            "torch.export of unit patches without a cache",
            "pass use_cache=True: patches stay on the time grid, and any ids and lengths can follow",
        )
    longest = int(num_kept.max())
    longest = min(max(longest + -longest % _LENGTHS, 1), length)
    index = torch.arange(longest, device=kept.device).expand(len(kept), longest)
    last = (num_kept - 1).clamp(min=0)
    return kept.gather(1, index.minimum(last)), (index - last).clamp(min=0)


def _remember(view: Cache | None, states: Tensor, more: Tensor) -> tuple[Tensor, Tensor]:
    """States [B, T, .] and more of the same positions, behind those of earlier calls: [B, S, .]."""
    if view is None:
        return states, more
    keys, values = view.update(states[:, None], more[:, None].to(states.dtype), 0)  # a static cache has one type
    return keys[:, 0], values[:, 0].to(more.dtype)


def _take(states: Tensor, places: Tensor) -> Tensor:
    """[B, S, D] at the places [B, N] -> [B, N, D]."""
    row = torch.arange(len(places), device=places.device)[:, None] * states.shape[1]
    return states.flatten(0, 1).index_select(0, (places + row).flatten()).view(*places.shape, -1)
