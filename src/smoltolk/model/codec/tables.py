"""The tables of the codebooks behind the first: embeddings that are summed, and a head each.

One matrix ``[(Q - 1) U, E]`` holds the tables one under the other, with rows as the first codebook has them: units, end
and padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoltolk.model.ids import IdSpace


def embed_codes(input_ids: Tensor, codes: Tensor, space: IdSpace, weight: Tensor) -> Tensor:
    """The sum of the further codebooks' embeddings.

    Args:
        input_ids: [B, T]; at ``<eos speech>`` every codebook ends, where else one is silent it is padding.
        codes: [B, T, Q - 1].
        space: the id space.
        weight: [(Q - 1) U, E], the tables one under the other.

    Returns:
        [B, T, E].
    """
    special = torch.where(input_ids == space.eos_speech, space.num_units, space.num_units + 1)
    rows = torch.where(codes < 0, special[..., None], codes)
    rows = rows + torch.arange(space.num_codebooks - 1, device=rows.device) * space.num_speech_ids
    # One bag a position: no [B, T, Q - 1, E] is ever made.
    return F.embedding_bag(rows.flatten(0, 1), weight, mode="sum").view(*input_ids.shape, -1)


def table_of(module: nn.Module, num_rows: int) -> Tensor:
    """The rows [num_rows, E] of an embedding that is used as a matrix.

    LoRA of PEFT stands around an embedding as another module: what it adds belongs to the rows too.
    """
    if isinstance(module, nn.Embedding):
        return module.weight
    device = next(module.parameters()).device
    return module(torch.arange(num_rows, device=device))


def code_logits(logits: Tensor, space: IdSpace) -> Tensor:
    """[..., (Q - 1) U] -> [..., Q - 1, K]: a head each; the end of speech is the first codebook's to predict."""
    return logits.unflatten(-1, (space.num_codebooks - 1, space.num_speech_ids))[..., : space.num_units]
