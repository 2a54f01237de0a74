"""The summed cross entropy of a softmax that is one matrix, with its gradients made while the logits are at hand.

Autograd would keep the logits of every row for the backward pass, or make them twice. Yet the gradient of a summed loss
is known as soon as its logits are: softmax less the label, up to one factor. So each few rows give their part of the
loss, of the states' gradient and of the matrix's, and are forgotten. On a GPU that is what fused kernels of a linear
layer with its cross entropy do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smoltolk.model.loss import IGNORE, rows_at_once

_CACHED_ROWS = 128  # rows whose softmax a CPU makes at a time, before their logits leave its cache


def summed_cross_entropy(
    states: Tensor, matrices: Sequence[tuple[Tensor, int]], wanted: Tensor
) -> tuple[Tensor, Tensor]:
    """Sum of the NLLs of the columns ``wanted``, as ``cross_entropy(logits.float(), wanted, reduction="sum")``.

    The logits are those of the rows of all matrices, side by side. Under autocast they are made in its type; softmax
    and sum are float32. For one backward pass.

    Args:
        states: [n, E].
        matrices: each [V_i, E], with the number of its first rows that count.
        wanted: int64 [n], columns; :data:`IGNORE`: nothing.

    Returns:
        A float32 scalar, nats; and the NLLs [n], 0 where nothing is asked, without a gradient.
    """
    weights, counts = zip(*matrices, strict=True)
    return _Summed.apply(states, wanted, counts, *weights)


class _Summed(torch.autograd.Function):
    """See :func:`summed_cross_entropy`."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, wanted: Tensor, counts: tuple[int, ...], *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        device = states.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weights[0].dtype
        needs_states, needs = ctx.needs_input_grad[0], ctx.needs_input_grad[3:]
        with torch.autocast(device, enabled=False):
            read = states.to(kind)
            used = [weight[:count].to(kind) for weight, count in zip(weights, counts, strict=True)]
            total = torch.zeros((), device=states.device, dtype=torch.promote_types(kind, torch.float32))
            by_states = torch.empty_like(states) if needs_states else None
            by_weights = [torch.zeros_like(w) if need else None for w, need in zip(weights, needs, strict=True)]
            nll = torch.empty_like(wanted, dtype=total.dtype)
            step = _rows_at_once(read, used)
            for start in range(0, len(states), step):
                rows = slice(start, start + step)
                loss, nll[rows], by_logits = _of_rows(read[rows], used, wanted[rows])
                total += loss
                each = by_logits.split(list(counts), dim=1)
                if by_states is not None:
                    by_states[rows] = _product(each, used)
                for gradient, count, columns in zip(by_weights, counts, each, strict=True):
                    if gradient is not None:
                        _accumulate(gradient[:count], columns, read[rows])
        ctx.save_for_backward(by_states, *by_weights)
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        by_states, *by_weights = ctx.saved_tensors
        scaled = [None if gradient is None else gradient.mul_(upstream) for gradient in (by_states, *by_weights)]
        return scaled[0], None, None, *scaled[1:]


def _of_rows(states: Tensor, matrices: Sequence[Tensor], wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of a few rows: their summed NLL, each NLL [n], and the sum's gradient by the logits, [n, V] as the states."""
    asked = wanted != IGNORE
    columns = torch.where(asked, wanted, 0)[:, None]
    step = _CACHED_ROWS if states.device.type == "cpu" else len(states)
    loss, each, gradients = [], [], []
    for some, column, is_asked in zip(states.split(step), columns.split(step), asked.split(step), strict=True):
        logits = [F.linear(some, matrix) for matrix in matrices]
        joined = logits[0] if len(logits) == 1 else torch.cat(logits, dim=1)
        log_p = joined.log_softmax(-1, dtype=torch.promote_types(joined.dtype, torch.float32))
        each.append(torch.where(is_asked, log_p.gather(1, column)[:, 0], 0.0))
        loss.append(-each[-1].sum())
        gradient = log_p.exp_().scatter_add_(1, column, -torch.ones_like(column, dtype=log_p.dtype))
        gradients.append(gradient.mul_(is_asked[:, None]).to(states.dtype))
    return torch.stack(loss).sum(), -torch.cat(each), gradients[0] if len(gradients) == 1 else torch.cat(gradients)


def _product(each: Sequence[Tensor], matrices: Sequence[Tensor]) -> Tensor:
    return sum(columns @ matrix for columns, matrix in zip(each, matrices, strict=True))  # type: ignore[return-value]


def _accumulate(gradient: Tensor, by_logits: Tensor, states: Tensor) -> None:
    """Add ``by_logits^T states`` to the gradient, without a copy where the types are the same."""
    if gradient.dtype == states.dtype:
        gradient.addmm_(by_logits.T, states)
    else:
        gradient += by_logits.T @ states


def _rows_at_once(states: Tensor, matrices: Sequence[Tensor]) -> int:
    """Rows whose gradients are made at a time: as many as memory allows, but where adding up costs nothing more."""
    if states.device.type == "cpu" and states.dtype == torch.float32:
        return _CACHED_ROWS
    return rows_at_once(states.device, sum(map(len, matrices)), _CACHED_ROWS)
