"""Multi-level fission: speech may be read from every layer of the backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from smoltolk.model.choices import LayerMixMode

_EPS = 1e-6


class Mixed(NamedTuple):
    """What a mix gives: the state to express, and how it was chosen."""

    state: Tensor  # [B, T, D]
    weights: Tensor | None  # [B, T, M] of a dynamic mix, [M] of a static one
    entropy: Tensor | None  # [B, T], nats, of a dynamic mix

    def to(self, device: torch.device) -> Mixed:
        """The same on another device."""
        return Mixed(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


class LayerMix(nn.Module):
    """Mix M layers into one state per position (arXiv 2503.06211, section 3).

    They are the backbone's outputs h^1..h^L, and before them the input adapter's where the pool is ``all``.

    - ``last``: h^L alone.
    - ``fixed``: h^k alone.
    - ``static``: s_t = sum_l softmax(w)_l h^l_t, one weight a layer.
    - ``dynamic``: the static mix asks, a_t = softmax(W s_t + b), and the answer is m_t = sum_l a_tl h^l_t.

    Args:
        mode: which of them.
        num_layers: M.
        hidden_size: D.
        norm: bring every layer to root mean square 1 first (no parameters; LF2AR's option).
        layer: k of 1..L, the fixed one.
        lead: logits that the last layer is ahead of the others at the start.
    """

    def __init__(
        self, mode: LayerMixMode, num_layers: int, hidden_size: int, norm: bool = False, layer: int | None = None,
        lead: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.mode: LayerMixMode = mode
        self.norm = norm
        self.lead = lead
        self.alone = {"last": num_layers, "fixed": layer}.get(mode)
        if self.alone is None:
            self.static_logits = nn.Parameter(torch.empty(num_layers))
        if mode == "dynamic":
            self.selector = nn.Linear(hidden_size, num_layers)

    def reset_parameters(self, std: float) -> None:
        """w ~ 0.01 N(0, 1); the selector like a linear layer of the backbone; the last layer's lead on top of both."""
        if self.alone is None:
            init.normal_(self.static_logits, std=0.01)
            _add_to_last(self.static_logits, self.lead)
        if self.mode == "dynamic":
            init.normal_(self.selector.weight, std=std)
            init.zeros_(self.selector.bias)
            _add_to_last(self.selector.bias, self.lead)

    def forward(self, layers: Sequence[Tensor]) -> Mixed:
        """Mix M tensors [B, T, D]; the last of them is the backbone's, after its final norm."""
        if self.alone is not None:
            return Mixed(layers[self.alone - 1], None, None)
        if self.norm:
            layers = [F.rms_norm(layer.float(), layer.shape[-1:], eps=_EPS).to(layer.dtype) for layer in layers]
        static_weights = self.static_logits.softmax(0)
        state = _weighted_sum(static_weights, layers)
        if self.mode == "static":
            return Mixed(state, static_weights, None)
        log_weights_BTM = self.selector(state).float().log_softmax(-1)
        weights_BTM = log_weights_BTM.exp()
        entropy_BT = -(weights_BTM * log_weights_BTM).sum(-1)
        state = _weighted_sum(weights_BTM.to(state.dtype).unbind(-1), layers)
        return Mixed(state, weights_BTM, entropy_BT)


@torch.no_grad()
def _add_to_last(logits: Tensor, lead: float) -> None:
    if lead and not getattr(logits, "_is_hf_initialized", False):  # else it came from a checkpoint
        logits[-1] += lead


def _weighted_sum(weights: Tensor | Sequence[Tensor], layers: Sequence[Tensor]) -> Tensor:
    """sum_l weights_l layers_l; the weights of a layer are a scalar or [B, T].

    A loop, not a stack: the layer outputs are kept for backward anyway, a stacked copy would double them.
    """
    total = torch.zeros_like(layers[0])
    for weight, layer in zip(weights, layers, strict=True):
        total = torch.addcmul(total, weight.unsqueeze(-1) if weight.ndim else weight.to(layer.dtype), layer)
    return total
