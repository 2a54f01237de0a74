"""Negative log-likelihoods of chosen rows, a few logits at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from smoltolk.model.ids import IGNORE

NUMBERS_AT_ONCE = 1 << 24  # logits that are held at a time: 64 MiB in float32
_MOST_AT_ONCE = 1 << 28  # on a GPU with memory to spare: 1 GiB
_ROWS_MULTIPLE = 64

Statistic = Callable[[Tensor, Tensor], Tensor]  # logits [n, V] and columns [n] of them -> [n, ...]


def of_rows(
    head: Callable[[Tensor, Tensor], Tensor], states: Tensor, rows: Tensor, wanted: Tensor, width: int
) -> Tensor:
    """What a head makes of some rows of many states.

    More rows than :data:`NUMBERS_AT_ONCE` allows are taken in parts, and computed again in the backward pass: a large
    vocabulary's logits need more memory than everything else, and with so many ids to predict the head is a small part
    of the time.

    Args:
        head: states [n, E] and what they are asked [n] or [n, Q] -> [n, ...].
        states: [M, E].
        rows: int64 [n], which of the states.
        wanted: int64 [n] or [n, Q], what each row is asked; :data:`IGNORE`: nothing.
        width: numbers that the head makes of a row.

    Returns:
        [n, ...], as the head gives it.
    """
    if rows.numel() == 0:  # nothing, and still a part of the graph: no parameter goes without gradient
        return head(states.index_select(0, rows), wanted)
    chosen, asked = chosen_rows(states, rows, wanted)
    at_once = rows_at_once(states.device, width, _ROWS_MULTIPLE)
    if len(chosen) <= at_once:
        return head(chosen, asked)[: len(rows)]
    parts = zip(chosen.split(at_once), asked.split(at_once), strict=True)
    if torch.is_grad_enabled():
        found = [checkpoint(head, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    else:
        found = [head(*part) for part in parts]
    return torch.cat(found)[: len(rows)]


def chosen_rows(states: Tensor, rows: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Some rows [n] of states [M, E], and what they are asked, with rows behind them that are asked nothing.

    Rounded up, so that a run meets few shapes: matrix libraries prepare code for each new one.
    """
    missing = -rows.numel() % _ROWS_MULTIPLE
    chosen = states.index_select(0, F.pad(rows, (0, missing)))
    return chosen, torch.cat([wanted, wanted.new_full((missing, *wanted.shape[1:]), IGNORE)])


def rows_at_once(device: torch.device, width: int, multiple: int) -> int:
    """Rows of so many logits each that are held at a time: a multiple, and one at least."""
    return max(multiple, numbers_at_once(device) // width // multiple * multiple)


def numbers_at_once(device: torch.device) -> int:
    """Logits that are held at a time: :data:`NUMBERS_AT_ONCE`, or what takes 1/32 of a GPU's free memory if more.

    Few large products keep a GPU busy; a CPU gains nothing by them.
    """
    if device.type != "cuda":
        return NUMBERS_AT_ONCE
    free, _ = torch.cuda.mem_get_info(device)
    return max(NUMBERS_AT_ONCE, min(_MOST_AT_ONCE, free // 32 // torch.float32.itemsize))


def cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """NLLs [n] of the columns ``wanted`` [n] of logits [n, V], in float32; 0 where nothing is asked."""
    return F.cross_entropy(logits.float(), wanted, reduction="none", ignore_index=IGNORE)


def mean_entropy(entropy: Tensor, real: Tensor | None) -> Tensor:
    """Mean over the real positions of entropy [B, T]; ``real`` [B, T] bool, None means all."""
    if real is None:
        return entropy.mean()
    return torch.where(real, entropy, 0.0).sum() / real.sum().clamp(min=1)
