"""What a model made of prompts, for continuations to go on from."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer, get_layer_types_and_kwargs

from smoltolk.evaluation.likelihood import id_nll
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.loss import IGNORE
from smoltolk.model.text_models.trials import goes_on_from_cache

_KINDS = {"full_attention", "sliding_attention"}  # layers that keep keys and values, and nothing else
_FIXED = ("flash", "flex", "paged")  # attention that is made for other masks than a cache of padded rows needs


def can_go_on(model: nn.Module) -> bool:
    """Whether a model computes from a cache what it computes of whole sequences, in less time.

    Not so are models whose layers keep more than keys and values, and those of flash or flex attention. Of SmolTolk
    models unit patches, which save nothing with a cache, blocks that take no ready mask, which would be run piece by
    piece, and the published spans, which look at what follows. Causal LMs of transformers are tried; of any other
    module nothing is known.
    """
    config = getattr(model, "config", None)
    if not isinstance(config, PreTrainedConfig):
        return False
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    attention = {str(part.config._attn_implementation) for part in parts}
    if any(name in one for name in _FIXED for one in attention):
        return False
    if isinstance(config, SmolTolkConfig):
        masks = config.masks_spans or not config.num_input_layers
        able = config.patch_size == 1 and masks and not config.published_spans
    else:
        able = isinstance(model, PreTrainedModel) and model.base_model is not model and goes_on_from_cache(model)
    # Looked at last: of what goes on from a cache, transformers can tell the kinds.
    return able and set(get_layer_types_and_kwargs(config.get_text_config(decoder=True))[0]) <= _KINDS


def read_prompts(
    model: nn.Module, input_ids: Tensor, codes: Tensor | None, labels: Tensor | None = None
) -> tuple[Cache, Tensor | None]:
    """Run prompts through a model that can go on from them.

    Args:
        model: as for :func:`~smoltolk.evaluation.likelihood.id_nll`.
        input_ids: [G, P], without padding; with labels [G, P + 1].
        codes: as many, [G, P, Q - 1], of several codebooks.
        labels: [G, P + 1], -100 where nothing is asked; None: of the prompts nothing is.

    Returns:
        The cache, G rows of P positions; and with labels their NLLs as ``id_nll`` gives them, made in the same pass.
    """
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))  # type: ignore[union-attr, operator]
    if labels is not None:
        # One id more is read, for its predictor's state is not seen again; then it is taken back.
        for layer in cache.layers:
            if isinstance(layer, DynamicSlidingWindowLayer):
                layer.activate_past_recording()
        nll = id_nll(model, input_ids, labels, torch.ones_like(input_ids), codes, cache)
        cache.crop(-1)
        return cache, nll
    own = getattr(model, "nll", None)
    if callable(own):  # no label: of the heads nothing is computed
        own(input_ids, torch.full_like(input_ids, IGNORE), codes=codes, past_key_values=cache)
    else:
        model.base_model(input_ids=input_ids, past_key_values=cache, use_cache=True)  # type: ignore[operator]
    return cache, None


def rows_of(cache: Cache, rows: Sequence[int]) -> Cache:
    """Some rows of a cache, as often as they are named, for one call of a model; the cache stays as it is."""
    chosen = torch.tensor(rows, device=cache.layers[0].keys.device)
    return Cache(layers=[_Rows(layer, chosen) for layer in cache.layers])


class _Rows(DynamicLayer):
    """Rows of a layer that are there while they are attended to: all layers' at once would be most of the memory.

    What is added is handed back and not kept: nothing goes on from a continuation.
    """

    def __init__(self, read: DynamicLayer, rows: Tensor):
        super().__init__()
        self.read, self.rows, self.is_sliding = read, rows, read.is_sliding

    def update(self, *states: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The rows with the states behind them."""
        chosen = copy.copy(self.read)
        chosen.reorder_cache(self.rows)
        return chosen.update(*states, **kwargs)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """As the layer that is read."""
        return self.read.get_mask_sizes(query_length)

    def get_seq_length(self) -> int:
        """As the layer that is read."""
        return self.read.get_seq_length()
