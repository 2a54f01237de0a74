"""The flat cache of rows that come and go: slots over one clock.

A row lies in a slot, and its newest column is everybody's: rows begin where they begin, and end together at the clock.
So a step of all rows writes one column, and what the model asks of a cache (one length, one place to write) holds for
rows of every length. A row that joins is copied in so that it ends at the clock; one that leaves is replaced by the
last. The columns in use are a window of the storage, written in place; nothing is put together anew at a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from smoltolk.common.errors import InputError

_ROOM = 128  # columns that a new storage has for steps, at least


class Window:
    """Which part of the storage is in use: slots ``0..rows - 1``, columns ``first..clock - 1``."""

    def __init__(self) -> None:
        self.rows = self.first = self.clock = 0


class GridLayer(DynamicLayer):
    """A layer of the cache: keys and values [slots, H, columns, D] of which a :class:`Window` is in use.

    An update writes the column at the clock; the clock moves when all layers have been written.
    """

    def __init__(self, window: Window):
        super().__init__()
        self.window, self.is_initialized = window, True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, H, 1, D] of the present column -> those of the window, it included."""
        w = self.window
        self.keys[: w.rows, :, w.clock : w.clock + 1] = key_states
        self.values[: w.rows, :, w.clock : w.clock + 1] = value_states
        end = w.clock + 1
        return self.keys[: w.rows, :, w.first : end], self.values[: w.rows, :, w.first : end]

    def get_seq_length(self) -> int:
        """Columns in use, the present one not counted."""
        return self.window.clock - self.window.first


class Grid:
    """Storage of all layers for rows that come and go.

    Args:
        config: of the model.
        most_rows: slots, at most.

    Attributes:
        cache: what the model is given at a step of all rows.

    Raises:
        InputError: a text model some of whose layers keep no states of each position.
    """

    def __init__(self, config: Any, most_rows: int):
        self.num_layers = num_cached_layers(config)
        self.most_rows, self.window = most_rows, Window()
        self.starts: list[int] = []  # column where each row begins
        self.cache = Cache(layers=[GridLayer(self.window) for _ in range(self.num_layers)])

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def num_bytes(self) -> int:
        """What the storage takes."""
        held = (part for layer in self.cache.layers for part in (layer.keys, layer.values) if part is not None)
        return sum(part.numel() * part.element_size() for part in held)

    def join(self, prefilled: Cache, lengths: Sequence[int]) -> None:
        """Take rows in, behind those that are there.

        Args:
            prefilled: their cache, padded on the left.
            lengths: of each of them.
        """
        longest, rows = prefilled.get_seq_length(), len(self) + len(lengths)
        self._make_room(rows, longest, prefilled)
        w = self.window
        for layer, own in zip(self.cache.layers, prefilled.layers, strict=True):
            for store, states in ((layer.keys, own.keys), (layer.values, own.values)):
                store[: len(self), :, w.clock - longest : w.first] = 0  # where the window grows to the left
                joined = store[len(self) : rows]
                joined[:, :, : w.clock - longest] = 0  # no flag of an earlier row, and nothing that is not finite
                joined[:, :, w.clock - longest : w.clock] = states
        self.starts += [w.clock - length for length in lengths]
        self._see()

    def leave(self, row: int) -> None:
        """Let a row go; the last one takes its slot."""
        last, w = len(self) - 1, self.window
        if row != last:
            for layer in self.cache.layers:
                for store in (layer.keys, layer.values):
                    store[row, :, w.first : w.clock] = store[last, :, w.first : w.clock]
            self.starts[row] = self.starts[last]
        self.starts.pop()
        self._see()
        if not self.starts:
            self.clear()

    def clear(self) -> None:
        """Let all rows go, and the storage with them."""
        self.starts.clear()
        self.window.rows = self.window.first = self.window.clock = 0
        for layer in self.cache.layers:
            layer.keys = layer.values = None

    def reading(self, device: torch.device) -> dict[str, Tensor | Cache | None]:
        """Mask, positions and cache for one more column of all rows."""
        self._make_room(len(self), 0, None)
        w, starts = self.window, torch.tensor(self.starts)
        mask = None
        if min(self.starts) != max(self.starts):
            mask = (torch.arange(w.first, w.clock + 1) >= starts[:, None]).long().to(device)
        positions = (w.clock - starts)[:, None].to(device)
        return {"attention_mask": mask, "position_ids": positions, "past_key_values": self.cache}

    def tick(self) -> None:
        """The column is written by all layers: go on to the next."""
        self.window.clock += 1

    def _see(self) -> None:
        self.window.rows = len(self)
        self.window.first = min(self.starts, default=0)

    def _make_room(self, rows: int, longest: int, like: Cache | None) -> None:
        """Make sure of so many slots, of ``longest`` columns before the clock, and of one at it."""
        w = self.window
        for layer, own in zip(self.cache.layers, like.layers if like else self.cache.layers, strict=True):
            if layer.keys is None:
                layer.keys, layer.values = (part.new_zeros(0, part.shape[1], 0, part.shape[3])
                                            for part in (own.keys, own.values))  # fmt: skip
        slots, columns = self.cache.layers[0].keys.shape[0], self.cache.layers[0].keys.shape[2]
        if rows <= slots and longest <= w.clock < columns:
            return
        held = w.clock - w.first
        clock = max(held, longest)
        if rows > slots:
            slots = min(self.most_rows, max(rows, 2 * slots))
        if clock + _ROOM > columns:
            columns = clock + max(_ROOM, clock // 2)
        for layer in self.cache.layers:
            layer.keys, layer.values = (
                _moved(part, slots, columns, slice(w.first, w.clock), clock) for part in (layer.keys, layer.values)
            )
        self.starts = [start + clock - w.clock for start in self.starts]
        w.clock = clock
        self._see()


def _moved(store: Tensor, slots: int, columns: int, window: slice, clock: int) -> Tensor:
    """The storage with its window ending at ``clock``, in place where its size stays."""
    held = store[:, :, window]
    if store.shape[0] != slots or store.shape[2] != columns:
        store = store.new_zeros(slots, store.shape[1], columns, store.shape[3])
    else:
        held = held.clone()
    store[: held.shape[0], :, clock - held.shape[2] : clock] = held
    return store


def num_cached_layers(config: Any) -> int:
    """Layers of a model's flat cache, if all of them keep the states of each position.

    Raises:
        InputError: some do not: they keep one state that nobody can put beside others of other lengths.
    """
    layers = DynamicCache(config=config.get_text_config(decoder=True)).layers
    odd = {type(layer).__name__ for layer in layers if not isinstance(layer, DynamicLayer)}
    if odd:
        raise InputError(
            "rows that come and go need layers that attend to positions",
            f"a text model with {', '.join(sorted(odd))}",
            "generate in batches that begin together (smoltolk.inference.generation.generate)",
        )
    return len(layers)
