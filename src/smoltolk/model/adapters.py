"""Speech adapters: a few layers of the backbone's own block type, without tables and without norms of their own."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, Cache, PreTrainedConfig, PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.text_models.attention import NAME as BLOCKS
from smoltolk.model.text_models.layers import attention_layers, block_list, layer_wise

_NO_WINDOW = 1 << 30
_COUNTS = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim")
# How an architecture says "no window here", and that what enters is not multiplied: an adapter reads states, and a
# span must see itself whole.
_WINDOWS = ("sliding_window", "attention_chunk_size", "local_attention", "window_size")
_PLAIN_INPUT: dict[str, Any] = {"embedding_multiplier": 1.0, "mup_enabled": False}


def adapter_config(
    text_config: PreTrainedConfig,
    num_layers: int,
    size: Mapping[str, Any] | None = None,
    like: Sequence[int] | None = None,
) -> PreTrainedConfig:
    """The backbone's configuration with ``num_layers`` layers that attend to all before them, and no vocabulary.

    Args:
        text_config: the backbone's.
        num_layers: how many blocks.
        size: settings that differ from the backbone's, by their names there.
        like: numbers of the backbone's layers that these are to be like, one each.

    Raises:
        InputError: a setting that the architecture does not have, heads that do not divide the width, or a backbone
            without attention layers.
    """
    config = copy.deepcopy(text_config)
    _resize(config, dict(size or {}))
    like, per_layer = like or attention_layers(config), layer_wise(config)
    config.num_hidden_layers = num_layers
    for name, values in per_layer.items():
        chosen = (values[like[i % len(like)]] for i in range(num_layers))
        setattr(config, name, type(getattr(config, name))(chosen))
    for name in _WINDOWS:  # some architectures demand a number even where no layer slides
        if isinstance(getattr(config, name, None), int):
            setattr(config, name, _NO_WINDOW)
    for name, value in _PLAIN_INPUT.items():
        if getattr(config, name, None) is not None:
            setattr(config, name, value)
    if getattr(config, "output_router_logits", False):
        config.output_router_logits = False  # experts are balanced by the backbone's loss, see text_models/router.py
    config.vocab_size = 1
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if getattr(config, name, None) is not None:
            setattr(config, name, 0)
    return config


class SpeechAdapter(nn.Module):
    """The input adapter (late fusion) or the output adapter (late fission): D in, D out.

    A headless model of the backbone's architecture fed with states, since only the architecture itself knows how its
    blocks want positions, masks and cache. What an adapter gives is what it reads plus what its blocks add: its table
    and its norms outside of the blocks are dropped, and positions that the architecture adds to embeddings (learned or
    sinusoidal ones) are shown to the blocks and taken off again behind them.

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
        _drop_norms(self.model, num_layers)

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks, in order."""
        return block_list(self.model, self.config.num_hidden_layers)[2]

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
        if self.config._attn_implementation in ("sdpa", BLOCKS):
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
            output_hidden_states=True,
        )
        # Blocks may lie on several devices.
        first, *behind = (layer.to(states.device) for layer in output.hidden_states)
        layers = behind if all_layers else behind[-1:]
        if first is states:
            return tuple(layers)
        added = first - states  # positions
        return tuple(layer - added for layer in layers)


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
    if "head_dim" in size or not size.keys() & {"hidden_size", "num_attention_heads", "num_key_value_heads"}:
        return
    width, heads = config.hidden_size, config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    if width % heads or heads % key_heads:
        raise InputError(
            "heads must divide the adapter's width, and key-value heads the heads",
            f"hidden_size {width}, num_attention_heads {heads}, num_key_value_heads {key_heads}",
            "choose numbers that divide, or give head_dim",
        )
    if getattr(config, "head_dim", None) is not None:
        config.head_dim = width // heads


def _drop_table(model: PreTrainedModel) -> None:
    """Take the table away, name and all: by its name users of PEFT mean the text table alone."""
    table = model.get_input_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is table:
                setattr(parent, name, None)


def _drop_norms(model: nn.Module, num_layers: int) -> None:
    """Replace what stands before the first block and behind the last one by the identity, but for positions.

    Names differ per architecture (``norm``, ``ln_f``, ``word_embeddings_layernorm``), and some norms have no parameter;
    what they have in common is where they stand, and that they are neither tables nor hold one in a buffer.
    """
    blocks, _, _ = block_list(model, num_layers)
    for name, module in list(model.named_modules()):
        inside = f"{name}.".startswith(f"{blocks}.") or not name
        leaf = next(module.children(), None) is None
        holds_table = isinstance(module, nn.Embedding) or next(module.buffers(), None) is not None
        if inside or not leaf or holds_table:
            continue
        model.set_submodule(name, nn.Identity())
