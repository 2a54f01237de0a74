"""Speech adapters: a few layers of the backbone's own block type, without tables and without a final norm."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn
from transformers import AutoModel, Cache, PreTrainedConfig
from transformers.masking_utils import create_causal_mask

from smoltolk.common.errors import InputError

_NO_WINDOW = 1 << 30
_LAYER_WISE = ("layer_types", "mlp_layer_types", "no_rope_layers")


def adapter_config(text_config: PreTrainedConfig, num_layers: int) -> PreTrainedConfig:
    """The backbone's configuration with ``num_layers`` layers of full attention and no vocabulary."""
    config = copy.deepcopy(text_config)
    config.num_hidden_layers = num_layers
    for name in _LAYER_WISE:  # settings with one entry per layer, where an architecture has them
        values = getattr(config, name, None)
        if isinstance(values, list):
            # A span must see itself whole: sliding or chunked layers become full ones.
            full = ["full_attention"] * num_layers if name == "layer_types" else (values * num_layers)[:num_layers]
            setattr(config, name, full)
    if getattr(config, "sliding_window", None) is not None:
        config.sliding_window = _NO_WINDOW  # some architectures demand a number even where no layer slides
    config.vocab_size, config.pad_token_id = 1, None
    config.bos_token_id = config.eos_token_id = None
    return config


class SpeechAdapter(nn.Module):
    """The input adapter (late fusion) or the output adapter (late fission): D in, D out.

    A headless model of the backbone's architecture fed with states, since only the architecture itself knows how its
    blocks want positions, masks and cache. Its table is dropped and its final norm is the identity.

    Args:
        text_config: the backbone's configuration.
        num_layers: how many blocks, at least one.
    """

    def __init__(self, text_config: PreTrainedConfig, num_layers: int):
        super().__init__()
        self.model = AutoModel.from_config(adapter_config(text_config, num_layers))
        self.model.set_input_embeddings(nn.Identity())
        _drop_final_norm(self.model)

    @property
    def config(self) -> PreTrainedConfig:
        """Configuration of the headless model."""
        return self.model.config

    def mask(self, states: Tensor, visible: Callable[..., Tensor], past_key_values: Cache) -> Tensor:
        """A ready mask for ``forward``: causal, and only where ``visible(batch, head, query, key)`` holds."""
        return create_causal_mask(
            config=self.config,
            inputs_embeds=states,
            attention_mask=None,
            past_key_values=past_key_values,
            and_mask_function=visible,
        )

    def forward(
        self,
        states: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
    ) -> Tensor:
        """Run the blocks over states [B, T, D], causally.

        Args:
            states: what the blocks read.
            attention_mask: None, [B, S] (1 = a real position) or a ready 4-D mask.
            position_ids: [B, T]; positions that jump back separate packed documents.
            past_key_values: the adapter's own view of the cache; None computes without one.
        """
        output = self.model(
            inputs_embeds=states,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=past_key_values is not None,
        )
        return output.last_hidden_state


def _drop_final_norm(model: nn.Module) -> None:
    """Replace the norm behind the last block by the identity.

    Its name differs per architecture (``norm``, ``ln_f``, ``final_layer_norm``); its place does not: the last norm
    that stands beside the list of blocks.
    """
    for parent in model.modules():
        children = dict(parent.named_children())
        if any(isinstance(child, nn.ModuleList) for child in children.values()):
            norms = [name for name, child in children.items() if type(child).__name__.endswith("Norm")]
            if norms:
                setattr(parent, norms[-1], nn.Identity())
            return
    raise InputError(
        "an adapter is built from the backbone's block type, so the backbone must have a list of blocks",
        f"{type(model).__name__} has none",
        "use a decoder-only text model",
    )
