"""The loss of frames of several codebooks: what each codebook is asked, and its NLL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from smoltolk.model.codec.codebooks import find_runs
from smoltolk.model.ids import IdSpace
from smoltolk.model.loss import IGNORE

_LOGITS_AT_ONCE = 1 << 24  # logits that the loss holds at a time, all codebooks together: 64 MiB of them
_ROWS_MULTIPLE = 64


def code_targets(
    input_ids: Tensor,
    codes: Tensor,
    labels: Tensor,
    space: IdSpace,
    real: Tensor | None = None,
    document_ids: Tensor | None = None,
    *,
    predict_switch: bool = False,
) -> Tensor:
    """What each codebook is asked to predict.

    Where a label is speech, all codebooks that speak are predicted. Of the ``pad_speech`` ids only the first of a run
    is, and before a ``<switch>`` only with ``predict_switch``: without it the model is not to learn where to stop.

    Args:
        input_ids, codes: [B, T] and [B, T, Q - 1].
        labels: [B, T], aligned with the ids; -100 is not predicted.
        space, real, document_ids: as for :func:`find_runs`.
        predict_switch: whether the model learns to change its modality.

    Returns:
        int64 [B, T, Q], of the first codebook ids from 0 with end and padding, of the others units; -100 elsewhere.
    """
    speech = labels >= space.speech_offset
    runs = find_runs(input_ids, space, real, document_ids)
    # Whether the run closes with <eos speech>, as seen from its first pad.
    closing = F.pad(input_ids, (0, space.tail), value=-1)[:, space.tail :] if space.tail else input_ids
    decided = (closing == space.eos_speech) | predict_switch
    by_rule = (runs.pads > 1) | ((runs.pads == 1) & ~decided)
    first = torch.where(speech & ~by_rule, labels - space.speech_offset, IGNORE)
    others = torch.where(speech[..., None] & (codes >= 0), codes, IGNORE)
    return torch.cat([first[..., None], others], dim=-1)


class CodebookLoss(NamedTuple):
    """The loss of frames, in nats."""

    total: Tensor  # scalar, what is minimised: the weighted sum over codebooks / number of predicted positions
    mean: Tensor  # scalar, the weighted sum per predicted speech position
    each: Tensor  # [Q], mean NLL of each codebook's predicted units


def codebook_loss(
    states: Tensor,
    targets: Tensor,
    labels: Tensor,
    space: IdSpace,
    *,
    heads: Callable[[Tensor], tuple[Tensor, Tensor]],
    num_predicted: Tensor | int,
    weights: Sequence[float] | None = None,
) -> CodebookLoss:
    """Sum the NLL of all codebooks, weighted.

    A position with a speech label counts once among the predicted ones, however many codebooks it predicts: those under
    the delay at both ends of a run too, where some are silent.

    Args:
        states: [B, T, E], the output adapter's.
        targets: [B, T, Q] as :func:`code_targets` gives them (position t predicts target t + 1).
        labels: [B, T], aligned with the ids; -100 is not predicted.
        space: the id space.
        heads: [N, E] -> the first codebook's logits [N, U] and the others' [N, Q - 1, K].
        num_predicted: count to divide by, of text and speech.
        weights: Q numbers; None: 1/Q each.
    """
    num_codebooks = targets.shape[-1]
    wanted = targets[:, 1:].flatten(0, 1)
    rows = (wanted != IGNORE).any(-1).nonzero().squeeze(1)
    flat = states[:, :-1].flatten(0, 1)
    if rows.numel() == 0:  # zero, and still a part of the graph: no parameter goes without gradient
        first, others = heads(flat.index_select(0, rows))
        sums = (first.sum() + others.sum()).float().expand(num_codebooks)
    else:
        missing = -rows.numel() % _ROWS_MULTIPLE  # rounded up, so that a run meets few shapes
        chosen = flat.index_select(0, F.pad(rows, (0, missing)))
        wanted = F.pad(wanted[rows], (0, 0, 0, missing), value=IGNORE)
        at_once = max(_ROWS_MULTIPLE, _LOGITS_AT_ONCE // (num_codebooks * space.num_speech_ids))
        if len(chosen) <= at_once:
            sums = _nll(heads, chosen, wanted)
        else:  # more logits than fit are computed again in the backward pass
            pairs = zip(chosen.split(at_once), wanted.split(at_once), strict=True)
            parts = [checkpoint(_nll, heads, *pair, use_reentrant=False, preserve_rng_state=False) for pair in pairs]
            sums = torch.stack(parts).sum(0)
    shares = [1 / num_codebooks] * num_codebooks if weights is None else list(weights)
    total = (sums * torch.tensor(shares, device=sums.device)).sum()
    counts = (targets[:, 1:] != IGNORE).sum((0, 1)).clamp(min=1)
    positions = (labels[:, 1:] >= space.speech_offset).sum().clamp(min=1)
    divisor = num_predicted.clamp(min=1) if isinstance(num_predicted, Tensor) else max(num_predicted, 1)
    return CodebookLoss(total / divisor, total.detach() / positions, sums.detach() / counts)


def _nll(heads: Callable[[Tensor], tuple[Tensor, Tensor]], states: Tensor, wanted: Tensor) -> Tensor:
    """[N, E], [N, Q] -> [Q] sums."""
    first, others = heads(states)
    led = F.cross_entropy(first.float(), wanted[:, 0], reduction="sum", ignore_index=IGNORE)
    followed = F.cross_entropy(
        others.flatten(0, 1).float(), wanted[:, 1:].flatten(), reduction="none", ignore_index=IGNORE
    )
    return torch.cat([led[None], followed.view(len(wanted), -1).sum(0)])
