"""How long a row may be: what a text model's table of positions holds, and what it was made for."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn
from transformers import AutoModel, PreTrainedConfig

from smoltolk.model.adapters import adapter_config
from smoltolk.model.text_models.layers import block_list

_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_seq_length", "seq_length")
_OFFSET = 8  # rows that some tables have before position 0


def trained_positions(config: PreTrainedConfig) -> int | None:
    """Positions that a text model was made for, as its configuration names them; None where it names none.

    Longer rows are no mistake where positions are computed (rotary, ALiBi), but the model has not seen such distances.
    """
    found = (getattr(config, name, None) for name in _NAMES)
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def longest_row(config: PreTrainedConfig) -> int | None:
    """Positions that a text model can read at all; None where it computes them and knows no end.

    GPT-2 and its like look positions up in a table: behind its last row there is nothing.
    """
    named = trained_positions(config)
    if named is None:
        return None
    with torch.device("meta"):  # its shapes alone
        model = AutoModel.from_config(adapter_config(config, 1))
    looked_up = [
        module.weight.shape[:1]
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module is not model.get_input_embeddings()
    ]
    # Buffers beside the blocks are computed, and grow; those inside of them are tables.
    inside = [buffer.shape for buffer in block_list(model, 1)[2].buffers() if buffer.ndim > 1]
    sizes = chain.from_iterable([*looked_up, *inside])
    return named if any(named <= size <= named + _OFFSET for size in sizes) else None
