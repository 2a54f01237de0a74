"""The loss of text and speech together, each head computed only where its modality is predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

IGNORE = -100
_ROWS_MULTIPLE = 64


class Loss(NamedTuple):
    """Scalars, in nats."""

    total: Tensor  # what is minimised
    text: Tensor  # mean NLL of a predicted text id, 0 if there is none
    speech: Tensor  # mean NLL of a predicted speech id, 0 if there is none


def modality_loss(
    text_states: Tensor,
    speech_states: Tensor,
    labels: Tensor,
    *,
    text_head: Callable[[Tensor], Tensor],
    speech_head: Callable[[Tensor], Tensor],
    speech_offset: int,
    num_predicted: Tensor | int | None = None,
    text_rows_at_once: int | None = None,
) -> Loss:
    """(sum of text NLL + sum of speech NLL) / number of predicted positions.

    Args:
        text_states: [B, T, D], the backbone's final states.
        speech_states: [B, T, D], the output adapter's states.
        labels: [B, T], aligned with the input ids (position t predicts label t + 1); -100 is not predicted.
        text_head: [N, D] -> [N, V].
        speech_head: [N, D] -> [N, U].
        speech_offset: labels from here on are speech.
        num_predicted: count to divide by; None counts these labels. Gradient accumulation gives the count of all
            its micro-batches, so that each position weighs the same.
        text_rows_at_once: most rows of text logits that exist at a time, forward and backward; None: all. More rows
            than that are computed again in the backward pass: a large vocabulary's logits need more memory than
            everything else, and with so many ids to predict the head is a small part of the time.
    """
    targets = labels[:, 1:].flatten()
    text_rows = ((targets != IGNORE) & (targets < speech_offset)).nonzero().squeeze(1)
    speech_rows = (targets >= speech_offset).nonzero().squeeze(1)

    def summed(
        states: Tensor, rows: Tensor, head: Callable[[Tensor], Tensor], offset: int, at_once: int | None = None
    ) -> Tensor:
        flat = states[:, :-1].flatten(0, 1)
        if rows.numel() == 0:
            # Zero, and still a part of the graph: no parameter goes without gradient, the head's neither.
            return head(flat.index_select(0, rows)).float().sum()
        # Rounded up, so that a run meets few shapes: matrix libraries prepare code for each new one.
        missing = -rows.numel() % _ROWS_MULTIPLE
        chosen = flat.index_select(0, F.pad(rows, (0, missing)))
        wanted = F.pad(targets[rows] - offset, (0, missing), value=IGNORE)
        if at_once is None or len(chosen) <= at_once:
            return _nll(head, chosen, wanted)
        parts = zip(chosen.split(at_once), wanted.split(at_once), strict=True)
        kept_nothing = [checkpoint(_nll, head, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
        return torch.stack(kept_nothing).sum()

    text = summed(text_states, text_rows, text_head, 0, text_rows_at_once)
    speech = summed(speech_states, speech_rows, speech_head, speech_offset)
    count = text_rows.numel() + speech_rows.numel() if num_predicted is None else num_predicted
    total = (text + speech) / (count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1))
    return Loss(total, text.detach() / max(text_rows.numel(), 1), speech.detach() / max(speech_rows.numel(), 1))


def _nll(head: Callable[[Tensor], Tensor], states: Tensor, wanted: Tensor) -> Tensor:
    return F.cross_entropy(head(states).float(), wanted, reduction="sum", ignore_index=IGNORE)


def mean_entropy(entropy: Tensor, real: Tensor | None) -> Tensor:
    """Mean over the real positions of entropy [B, T]; ``real`` [B, T] bool, None means all."""
    if real is None:
        return entropy.mean()
    return torch.where(real, entropy, 0.0).sum() / real.sum().clamp(min=1)
