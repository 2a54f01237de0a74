"""Speech adapters: a few layers of the backbone's own block type, without tables and without a final norm."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, Cache, PreTrainedConfig

from smoltolk.common.errors import InputError
from smoltolk.model.text_models.layers import layer_wise

_NO_WINDOW = 1 << 30
_COUNTS = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim")


def adapter_config(
    text_config: PreTrainedConfig,
    num_layers: int,
    size: Mapping[str, Any] | None = None,
    like: Sequence[int] | None = None,
) -> PreTrainedConfig:
    """The backbone's configuration with ``num_layers`` layers of full attention and no vocabulary.

    Args:
        text_config: the backbone's.
        num_layers: how many blocks.
        size: settings that differ from the backbone's, by their names there.
        like: numbers of the backbone's layers that these are to be like, one each.

    Raises:
        InputError: a setting that the architecture does not have, or heads that do not divide the width.
    """
    config = copy.deepcopy(text_config)
    _resize(config, dict(size or {}))
    per_layer = layer_wise(config)
    config.num_hidden_layers = num_layers
    for name, values in per_layer.items():
        # A span must see itself whole: sliding or chunked layers become full ones.
        full = ["full_attention"] * num_layers if name == "layer_types" else (values * num_layers)[:num_layers]
        setattr(config, name, full if like is None else [values[number] for number in like])
    if getattr(config, "sliding_window", None) is not None:
        config.sliding_window = _NO_WINDOW  # some architectures demand a number even where no layer slides
    if getattr(config, "embedding_multiplier", None) is not None:
        config.embedding_multiplier = 1.0  # it belongs to a text table; an adapter reads and writes states
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
        size, like: see :func:`adapter_config`.
    """

    def __init__(
        self,
        text_config: PreTrainedConfig,
        num_layers: int,
        size: Mapping[str, Any] | None = None,
        like: Sequence[int] | None = None,
    ):
        super().__init__()
        self.model = AutoModel.from_config(adapter_config(text_config, num_layers, size, like))
        _drop_table(self.model)
        _drop_final_norm(self.model)

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks, in order."""
        return _block_list(self.model)[1]

    @property
    def config(self) -> PreTrainedConfig:
        """Configuration of the headless model."""
        return self.model.config

    def mask(self, states: Tensor, visible: Tensor) -> Tensor:
        """A ready mask for ``forward``.

        Made here and not by transformers' mask functions, which take longer than the adapter itself for one position.

        Args:
            states: what the blocks will read, for their type.
            visible: [B, T, S] bool, whether a query sees a key, causality included.

        Returns:
            [B, 1, T, S], of the kind that the adapter's attention understands.
        """
        if self.config._attn_implementation.startswith(("flash", "flex", "paged")):
            # These know no mask that is a tensor, and would attend without one; so does sdpa's own flash kernel.
            self.model.set_attn_implementation("sdpa")
        visible = visible[:, None]
        if self.config._attn_implementation == "sdpa":
            return visible
        return torch.zeros_like(visible, dtype=states.dtype).masked_fill(~visible, torch.finfo(states.dtype).min)

    def forward(
        self,
        states: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Run the blocks over states [B, T, D], causally.

        Args:
            states: what the blocks read.
            attention_mask: None, [B, S] (1 = a real position) or a ready 4-D mask.
            position_ids: [B, T]; positions that jump back separate packed documents.
            past_key_values: the adapter's own view of the cache; None computes without one.
            all_layers: give the states behind each block; otherwise only those behind the last.

        Returns:
            Tensors [B, T, D]; the last of them is what the adapter makes of the states.
        """
        output = self.model(
            inputs_embeds=states,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=past_key_values is not None,
            output_hidden_states=all_layers,
        )
        return output.hidden_states[1:] if all_layers else (output.last_hidden_state,)


def _drop_table(model: nn.Module) -> None:
    """Take the table away, name and all: by its name users of PEFT mean the text table alone."""
    table = model.get_input_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is table:
                setattr(parent, name, None)


def _resize(config: PreTrainedConfig, size: dict[str, Any]) -> None:
    unknown = [name for name in size if not hasattr(config, name)]
    if unknown:
        raise InputError(
            "an adapter's size is given in settings of the text configuration",
            f"{', '.join(unknown)} in {type(config).__name__}",
            "use its own names, e.g. hidden_size, num_attention_heads",
        )
    for name, value in size.items():
        if name in _COUNTS and not (isinstance(value, int) and value > 0):
            raise InputError("an adapter's sizes are whole numbers from 1", f"{name} = {value!r}", "give such a number")
        setattr(config, name, value)
    width, heads = config.hidden_size, config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    if "head_dim" in size or not size.keys() & {"hidden_size", "num_attention_heads", "num_key_value_heads"}:
        return
    if width % heads or heads % key_heads:
        raise InputError(
            "heads must divide the adapter's width, and key-value heads the heads",
            f"hidden_size {width}, num_attention_heads {heads}, num_key_value_heads {key_heads}",
            "choose numbers that divide, or give head_dim",
        )
    if getattr(config, "head_dim", None) is not None:
        config.head_dim = width // heads


def _block_list(model: nn.Module) -> tuple[nn.Module, nn.ModuleList]:
    """The list of blocks and the module that holds it."""
    for parent in model.modules():
        for child in parent.children():
            if isinstance(child, nn.ModuleList):
                return parent, child
    raise InputError(
        "an adapter is built from the backbone's block type, so the backbone must have a list of blocks",
        f"{type(model).__name__} has none",
        "use a decoder-only text model",
    )


def _drop_final_norm(model: nn.Module) -> None:
    """Replace the norm behind the last block by the identity.

    Its name differs per architecture (``norm``, ``ln_f``, ``final_layer_norm``); its place does not: the last norm
    that stands beside the list of blocks.
    """
    parent, _ = _block_list(model)
    norms = [name for name, child in parent.named_children() if type(child).__name__.endswith("Norm")]
    if norms:
        setattr(parent, norms[-1], nn.Identity())
