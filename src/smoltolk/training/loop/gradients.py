"""How large the gradients of a model's parts are beside each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

GROUPS = ("backbone", "speech", "text_tables")


def groups_of(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Parameters of the backbone, of what the text model did not bring, and of its tables.

    Args:
        model: a SmolTolk model, one with adapters of PEFT around it, or a text model.
    """
    own: Any = getattr(model, "speech_parameters", dict)
    speech = {id(parameter) for parameter in own().values()}
    embeddings = [getattr(model, name)() for name in ("get_input_embeddings", "get_output_embeddings")]
    tables = {id(table.weight) for table in embeddings if isinstance(getattr(table, "weight", None), nn.Parameter)}
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in GROUPS}
    for parameter in model.parameters():
        name = "speech" if id(parameter) in speech else "text_tables" if id(parameter) in tables else "backbone"
        groups[name].append(parameter)
    return groups


class GradientNorms:
    """Norms by group, of a step whose gradients have been clipped already.

    Args:
        model: whose.
    """

    def __init__(self, model: nn.Module):
        self._groups = groups_of(model)
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
