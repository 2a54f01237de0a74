"""Late fusion: units are composed before the backbone sees them (arXiv 2503.06211, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.layouts import Layers, Layout


class LateFusion(nn.Module):
    """The input adapter over each speech span alone; text passes by unchanged.

    Without input layers units enter the backbone as they are (but for a projection of narrower tables): early fusion.

    Args:
        config: the model's.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__()
        D, E, num_layers = config.hidden_size, config.input_width, config.num_input_layers
        if num_layers:
            self.adapter = SpeechAdapter(config.text_config, num_layers, config.input_adapter_size)
        # Adapters as wide as the backbone, the paper's, need no projections.
        self.projection = nn.Identity() if E == D else nn.Linear(E, D)
        self.pool_projection = nn.Linear(E, D) if config.mixes_inputs and E != D else nn.Identity()
        self.mixes_inputs, self.num_layers = config.mixes_inputs, num_layers

    def forward(self, units: Tensor, text: Tensor, is_speech: Tensor, layout: Layout) -> tuple[Tensor, Layers]:
        """Compose the units and put them among the text.

        Args:
            units: [B, T, E] embeddings of units, a padding unit at text positions.
            text: [B, T, D] embeddings of text, a filler at speech positions.
            is_speech: [B, T] bool.
            layout: how the spans lie.

        Returns:
            What the backbone reads, [B, T, D], and, where the layer mix wants them (``layer_mix_pool="all"``), what the
            adapter's layers made, [B, T, D] each.
        """
        composed: Layers = (units,)
        if self.num_layers:
            composed = layout.compose(self.adapter, units, text, all_layers=self.mixes_inputs)
        fused = torch.where(is_speech[..., None], self.projection(composed[-1]).to(text), text)
        pooled = tuple(self.pool_projection(layer).to(text) for layer in composed) if self.mixes_inputs else ()
        return fused, pooled
