"""What each codebook of a frame is asked to predict."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smoltolk.model.codec.codebooks import find_runs
from smoltolk.model.ids import IdSpace
from smoltolk.model.loss import IGNORE
from smoltolk.model.reading import Reading


def code_targets(first: Tensor, reading: Reading, space: IdSpace, predict_switch: bool) -> Tensor:
    """Add the other codebooks to what the first one is asked.

    Where a label is speech, all codebooks that speak are predicted. Of the ``pad_speech`` ids only the first of a run
    is, and before a ``<switch>`` only with ``predict_switch``: without it the model is not to learn where to stop.

    Args:
        first: int64 [B, T], columns of the first codebook's softmax, IGNORE where nothing is asked.
        reading: ids, codes, padding and documents.
        space: the id space.
        predict_switch: whether the model learns to change its modality.

    Returns:
        int64 [B, T, Q]; of the codebooks behind the first units; IGNORE elsewhere.
    """
    ids, codes = reading.input_ids, reading.codes
    runs = find_runs(ids, space, reading.real, reading.document_ids)
    # Whether the run closes with <eos speech>, as seen from its first pad.
    closing = F.pad(ids, (0, space.tail), value=-1)[:, space.tail :] if space.tail else ids
    decided = (closing == space.eos_speech) | predict_switch
    by_rule = (runs.pads > 1) | ((runs.pads == 1) & ~decided)
    asked = first != IGNORE
    others = torch.where(asked[..., None] & (codes >= 0), codes, IGNORE)
    return torch.cat([first.masked_fill(by_rule, IGNORE)[..., None], others], dim=-1)
