"""One flat cache for backbone, adapters and the history of modalities.

Layout: ``[backbone 0..L-1 | input adapter | output adapter | history]``, and with unit patches two more, ``[composed
units | mixed states]``: plain layers of transformers' ``Cache``, so that beam search, cropping, static caches and
offloading treat them alike. ``generate`` brings all of them, since :meth:`SmolTolkConfig.get_text_config` counts them;
a cache made for the backbone alone is grown here. Each sub-model gets a view of its own layers. All of them keep one
entry per position of the sequence, the input adapter too (text positions see only themselves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer, StaticLayer

from smoltolk.common.errors import InputError
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.modality import at, previous


@dataclass(frozen=True)
class History:
    """What the cache remembers of each position, the current ones included.

    Attributes:
        is_speech: [B, S] bool, False at padding.
        real: [B, S] bool, False at padding and in the part of a static cache that is still empty.
        start: index of the first current position, an int or a 0-d tensor.
    """

    is_speech: Tensor
    real: Tensor
    start: int | Tensor

    @classmethod
    def remember(cls, view: Cache, is_speech: Tensor, real: Tensor | None) -> History:
        """Write the flags [B, T] of the current positions behind the earlier ones, and read all of them."""
        start = view.get_seq_length()
        # A static layer's counter is live: it moves with the update below.
        start = start.clone() if isinstance(start, Tensor) else start
        present = torch.ones_like(is_speech) if real is None else real
        flags = (flag[:, None, :, None].to(torch.float32) for flag in (is_speech, present))
        speech, held = view.update(*flags, 0)
        return cls(speech[:, 0, :, 0] > 0.5, held[:, 0, :, 0] > 0.5, start)

    def current(self, values: Tensor, length: int) -> Tensor:
        """The entries [B, length] of ``values`` [B, S] that belong to the current positions."""
        index = torch.arange(length, device=values.device) + self.start
        return values.index_select(1, index)

    def previous_is_speech(self, length: int) -> Tensor:
        """Whether what stands before each current position is speech, [B, length]; False before the first."""
        before = previous(self.is_speech.shape, self.is_speech.device, real=self.real)
        return at(self.is_speech, self.current(before, length))

    def positions_in_span(self, length: int) -> Tensor:
        """Distance of each current position from the first one of its span, [B, length]; 0 on text."""
        spoken = self.is_speech.cumsum(1)
        # Speech positions before the span: as many as the last text had behind it.
        before_span = torch.where(self._is_text, spoken, 0).cummax(1).values
        return self.current(torch.where(self.is_speech, spoken - before_span - 1, 0), length)

    def visible(self, length: int) -> Tensor:
        """Whether each current position (dimension 1) sees each one of the cache, [B, length, S].

        Speech sees the past of its own span, a text position only itself.
        """
        # Positions of one span share the count of text positions before them; padding counts as neither.
        text_before = self._is_text.cumsum(1)
        key = torch.arange(self.is_speech.shape[1], device=self.is_speech.device)
        query = (torch.arange(length, device=key.device) + self.start)[:, None]
        same_span = self.current(text_before, length)[..., None] == text_before[:, None]
        spoken = self.is_speech[:, None] & self.current(self.is_speech, length)[..., None]
        return (same_span & spoken & (query >= key)) | (query == key)

    @property
    def _is_text(self) -> Tensor:
        return self.real & ~self.is_speech


@dataclass(frozen=True)
class DecodingState:
    """What decoding carries from call to call, as each part of the model sees it; without a cache, nothing.

    Attributes:
        backbone, late_fusion, late_fission: views of the flat cache.
        history: the modalities so far.
        units, mixed: views of composed units and mixed states, where units come in patches.
    """

    backbone: Cache | None = None
    late_fusion: Cache | None = None
    late_fission: Cache | None = None
    history: History | None = None
    units: Cache | None = None
    mixed: Cache | None = None

    @classmethod
    def of(cls, cache: Cache | None, config: SmolTolkConfig, is_speech: Tensor, real: Tensor | None) -> DecodingState:
        """Cut the cache at its seams and write the modalities [B, T] of the current positions into it."""
        if cache is None:
            return cls()
        sizes = (config.num_layers, config.num_input_layers, config.num_output_layers, *[1] * config.num_own_states)
        backbone, fusion, fission, history, *patches = _views(cache, sizes)
        return cls(backbone, fusion, fission, History.remember(history, is_speech, real), *patches)


def _views(cache: Cache, sizes: Sequence[int]) -> list[Cache]:
    """Views of so many layers each, the backbone's first; layers that the cache lacks are added.

    Raises:
        InputError: the cache lacks layers, and it is too late for them.
    """
    total = sum(sizes)
    if cache.layer_class_to_replicate is not None:
        while len(cache.layers) < sizes[0]:
            cache.layers.append(cache.layer_class_to_replicate())
    static = next((layer for layer in cache.layers if isinstance(layer, StaticLayer)), None)
    if len(cache.layers) < total:
        _check_growth(cache)
        # A sliding layer knows only its window: the full length is the longest of all.
        length = None if static is None else max(layer.get_max_length() for layer in cache.layers)
        while len(cache.layers) < total:
            cache.layers.append(DynamicLayer() if length is None else StaticLayer(max_cache_len=length))
    return [Cache(layers=cache.layers[a:b]) for a, b in pairwise([0, *accumulate(sizes)])]


def _check_growth(cache: Cache) -> None:
    """A cache of the backbone alone can be grown while it is empty, and not while a program is made of it."""
    if torch.compiler.is_exporting():
        raise InputError(
            "an exported program keeps the layers that its cache had: those of adapters and history must be among them",
            f"a cache of {len(cache.layers)} layers, the backbone's alone",
            "make it of model.config.get_text_config(decoder=True)",
        )
    held = cache.get_seq_length() if cache.layers else 0
    if not isinstance(held, Tensor) and held:
        raise InputError(
            "a cache holds what every part of the model made of its positions",
            f"{held} positions of the backbone alone, as prefix tuning makes them",
            "continue a cache that this model gave; of PEFT use LoRA",
        )
