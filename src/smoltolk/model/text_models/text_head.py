"""The text head of any causal LM, for chosen states only."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MoeModelOutputWithPast


@dataclass
class _States(MoeModelOutputWithPast):
    """Final states, and nothing in every other field that some architecture's head looks for."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


class _Passthrough(nn.Module):
    """Stands where the decoder stood and returns the states it is given as if it had computed them."""

    @property
    def decoder(self) -> _Passthrough:  # OPT's head asks for `model.decoder`
        return self

    def forward(self, *args: object, inputs_embeds: Tensor, **kwargs: object) -> _States:
        # Some architectures pass their (absent) ids by position.
        return _States(last_hidden_state=inputs_embeds)


class TextHead:
    """What a backbone's own head makes of final states.

    The forward of the whole causal LM runs with its decoder passed over, so that logit scaling, soft caps and biases
    stay right for every architecture. It runs on a shallow copy that shares every other part with the backbone; the
    copy is kept, because a compiler cannot look into the making of one.
    """

    def __init__(self) -> None:
        self._copy: PreTrainedModel | None = None
        self._is_matrix: bool | None = None

    def __call__(self, backbone: PreTrainedModel, states: Tensor) -> Tensor:
        """Logits of states.

        Args:
            backbone: the causal LM; the same one in every call, though parts of it may have been exchanged.
            states: [N, D], behind the final norm.

        Returns:
            [N, V].
        """
        head = self._copy if self._copy is not None and _shares_parts(self._copy, backbone) else self.build(backbone)
        logits = head(inputs_embeds=states[None], use_cache=False).logits[0]
        if not isinstance(logits, torch.Tensor) or logits.shape[:-1] != states.shape[:-1]:
            raise TypeError(f"{type(backbone).__name__} gave no logits for its states")
        return logits

    def matrix(self, backbone: PreTrainedModel) -> Tensor | None:
        """[V, D], if the head is this matrix and nothing else: no bias, scale or soft cap, no adapter, no hook. Tried.

        Args:
            backbone: as above.
        """
        layer = backbone.get_output_embeddings()
        if not _is_plain(layer):
            return None
        if self._is_matrix is None or self._copy is None or not _shares_parts(self._copy, backbone):
            self._is_matrix = self._try_matrix(backbone, layer.weight)
        return layer.weight if self._is_matrix else None

    @torch.no_grad()
    def _try_matrix(self, backbone: PreTrainedModel, matrix: Tensor) -> bool:
        # Large states, so that a soft cap shows.
        states = 100 * torch.randn(2, matrix.shape[1], generator=torch.Generator().manual_seed(0)).to(matrix)
        with torch.autocast(matrix.device.type, enabled=False):
            found, expected = self(backbone, states).float(), F.linear(states, matrix).float()
        return found.shape == expected.shape and bool((found - expected).norm() <= 1e-2 * expected.norm())

    def build(self, backbone: PreTrainedModel) -> PreTrainedModel:
        """Make the copy."""
        self._copy = copy.copy(backbone)
        self._copy._modules = dict(backbone._modules)
        # Hooks of accelerate stand around the whole backbone's forward, which is not what runs here; those of the parts
        # that do run stand around these.
        for name in ("forward", "_old_forward", "_hf_hook"):
            vars(self._copy).pop(name, None)
        setattr(self._copy, backbone.base_model_prefix, _Passthrough())
        return self._copy


def _is_plain(layer: nn.Module | None) -> TypeGuard[nn.Linear]:
    """Whether it is a linear layer without bias and with nothing around it, whose weight lies whole in memory."""
    return (
        type(layer) is nn.Linear
        and layer.bias is None
        and "forward" not in vars(layer)
        and not (layer._forward_pre_hooks or layer._forward_hooks)
        and type(layer.weight) is nn.Parameter
        and not layer.weight.is_meta
    )


def _shares_parts(head: PreTrainedModel, backbone: PreTrainedModel) -> bool:
    """Adapters of PEFT and resized tables are new modules in the backbone's place for them."""
    decoder = backbone.base_model_prefix
    return all(head._modules.get(name) is part for name, part in backbone._modules.items() if name != decoder)
