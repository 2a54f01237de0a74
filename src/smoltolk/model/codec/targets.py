"""What each codebook of a frame is asked to predict."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smoltolk.model.codec.codebooks import find_runs
from smoltolk.model.ids import IdSpace
from smoltolk.model.loss import IGNORE
from smoltolk.model.modality import real_first
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
    if reading.real is None:
        by_rule = _by_rule(ids, space, reading.document_ids, predict_switch)
    else:  # padding may part a run
        order = real_first(reading.real)
        documents = None if reading.document_ids is None else reading.document_ids.gather(1, order)
        found = _by_rule(ids.masked_fill(~reading.real, -1).gather(1, order), space, documents, predict_switch)
        by_rule = torch.zeros_like(found).scatter(1, order, found)
    asked = first != IGNORE
    others = torch.where(asked[..., None] & (codes >= 0), codes, IGNORE)
    return torch.cat([first.masked_fill(by_rule, IGNORE)[..., None], others], dim=-1)


def _by_rule(ids: Tensor, space: IdSpace, document_ids: Tensor | None, predict_switch: bool) -> Tensor:
    """[B, T] bool: the ``pad_speech`` ids that follow from what stands before them, or that nothing is to learn."""
    runs = find_runs(ids, space, document_ids=document_ids)
    # Whether the run closes with <eos speech>, as seen from its first pad.
    closing = F.pad(ids, (0, space.tail), value=-1)[:, space.tail :] if space.tail else ids
    decided = (closing == space.eos_speech) | predict_switch
    return (runs.pads > 1) | ((runs.pads == 1) & ~decided)
