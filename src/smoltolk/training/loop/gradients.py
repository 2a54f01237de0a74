"""How large the gradients of a model's parts are beside each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from smoltolk.training.optimization import groups_of


class GradientNorms:
    """Norms by group, of a step whose gradients have been clipped already.

    Args:
        model: whose.
    """

    def __init__(self, model: nn.Module):
        self._groups: dict[str, list[nn.Parameter]] = {}
        for (_, parameter), group in zip(model.named_parameters(), groups_of(model).values(), strict=True):
            self._groups.setdefault(group, []).append(parameter)
        self._norms: dict[str, Tensor] = {}

    def take(self) -> None:
        """Look at the gradients as they are now; nothing waits for the device."""
        self._norms = {}
        for name, parameters in self._groups.items():
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            if gradients:
                norm = get_total_norm(gradients)
                self._norms[name] = norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    def told(self, total: float) -> dict[str, float]:
        """``grad_norm/GROUP`` before clipping, which changes all gradients by one factor.

        Args:
            total: the norm of all gradients before clipping.
        """
        norms = {name: float(norm) for name, norm in self._norms.items()}
        clipped = torch.tensor(list(norms.values()), dtype=torch.float64).norm().item()
        factor = total / clipped if clipped else 1.0
        return {f"grad_norm/{name}": norm * factor for name, norm in norms.items()}
