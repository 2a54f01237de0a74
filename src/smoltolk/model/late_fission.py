"""Late fission: what the layer mix selected is decomposed towards units (arXiv 2503.06211, section 3)."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import Cache

from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.configuration import SmolTolkConfig


class LateFission(nn.Module):
    """The residual of the raw embedding and the output adapter, over all positions of a document, text included.

    Args:
        config: the model's.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__()
        D, E, num_layers = config.hidden_size, config.output_width, config.num_output_layers
        self.projection = nn.Identity() if E == D else nn.Linear(D, E, bias=False)
        if num_layers:
            self.adapter = SpeechAdapter(config.text_config, num_layers, config.output_adapter_size)
        self.residual, self.num_layers = config.speech_residual, num_layers

    def forward(
        self,
        mixed: Tensor,
        raw: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        """States that the speech head reads.

        Args:
            mixed: [B, T, D], of the layer mix.
            raw: [B, T, D], the embedding of each position before the input adapter; None: no residual.
            attention_mask, position_ids: as the backbone has them.
            cache: the adapter's own view.

        Returns:
            [B, T, E], E of the output adapter.
        """
        states = self.projection(mixed if raw is None else mixed + raw.to(mixed.dtype))
        return self.adapter(states, attention_mask, position_ids, cache)[-1] if self.num_layers else states
