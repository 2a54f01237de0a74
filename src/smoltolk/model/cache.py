"""One flat cache for backbone, adapters and the history of modalities.

Layout: ``[backbone 0..L-1 | input adapter | output adapter | history]``, plain layers of transformers' ``Cache``, so
that beam search, cropping, static caches and offloading treat them alike. Each sub-model gets a view of its own layers.
All of them keep one entry per position of the sequence, the input adapter too (text positions see only themselves).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer, StaticLayer


@dataclass(frozen=True)
class CacheViews:
    """The flat cache cut at its seams."""

    backbone: Cache
    input_adapter: Cache
    output_adapter: Cache
    history: Cache

    @classmethod
    def of(cls, cache: Cache, num_backbone: int, num_input: int, num_output: int) -> CacheViews:
        """Cut ``cache``, first growing a cache that was made for the backbone alone (as ``generate`` makes it)."""
        total = num_backbone + num_input + num_output + 1
        if cache.layer_class_to_replicate is not None:
            while len(cache.layers) < num_backbone:
                cache.layers.append(cache.layer_class_to_replicate())
        static = next((layer for layer in cache.layers if isinstance(layer, StaticLayer)), None)
        if len(cache.layers) < total:
            # A sliding layer knows only its window: the full length is the longest of all.
            length = None if static is None else max(layer.get_max_length() for layer in cache.layers)
            while len(cache.layers) < total:
                cache.layers.append(DynamicLayer() if length is None else StaticLayer(max_cache_len=length))
        borders = (0, num_backbone, num_backbone + num_input, num_backbone + num_input + num_output, total)
        views = [Cache(layers=cache.layers[a:b]) for a, b in pairwise(borders)]
        return cls(*views)


@dataclass(frozen=True)
class History:
    """What the cache remembers of each position's modality, the current ones included.

    Attributes:
        is_speech: [B, S] bool.
        start: index of the first current position, an int or a 0-d tensor.
    """

    is_speech: Tensor
    start: int | Tensor

    @classmethod
    def extend(cls, view: Cache, is_speech: Tensor) -> History:
        """Store the flags [B, T] of the current positions behind the earlier ones."""
        start = view.get_seq_length()
        # A static layer's counter is live: it moves with the update below.
        start = start.clone() if isinstance(start, Tensor) else start
        flags = is_speech[:, None, :, None].to(torch.float32)
        stored, _ = view.update(flags, flags, 0)
        return cls(stored[:, 0, :, 0] > 0.5, start)

    def current(self, values: Tensor, length: int) -> Tensor:
        """The entries [B, length] of ``values`` [B, S] that belong to the current positions."""
        index = torch.arange(length, device=values.device) + self.start
        return values.index_select(1, index)

    def previous(self, length: int) -> Tensor:
        """Whether the position before each current one is speech, [B, length]; False before the first."""
        shifted = torch.cat([torch.zeros_like(self.is_speech[:, :1]), self.is_speech[:, :-1]], dim=1)
        return self.current(shifted, length)

    def positions_in_span(self, length: int) -> Tensor:
        """Distance of each current position from the first one of its span, [B, length]; 0 on text."""
        index = torch.arange(self.is_speech.shape[1], device=self.is_speech.device).expand_as(self.is_speech)
        last_text = torch.where(self.is_speech, -1, index).cummax(1).values
        return self.current((index - last_text - 1).clamp(min=0), length)

    def visible(self, length: int) -> Tensor:
        """Whether each current position (dimension 1) sees each one of the cache, [B, length, S].

        Speech sees the past of its own span, a text position only itself.
        """
        # Positions of one span share the count of text positions before them; so does the text right before it.
        text_before = (~self.is_speech).cumsum(1)
        key = torch.arange(self.is_speech.shape[1], device=self.is_speech.device)
        query = (torch.arange(length, device=key.device) + self.start)[:, None]
        same_span = self.current(text_before, length)[..., None] == text_before[:, None]
        return same_span & (query >= key) & (self.is_speech[:, None] | (query == key))
