"""The text head of any causal LM, for chosen rows only."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MoeModelOutputWithPast


@dataclass
class _States(MoeModelOutputWithPast):
    """Final states, and every other field that some architecture's head looks for."""

    cross_attentions: tuple[Tensor, ...] | None = None


class _Passthrough(nn.Module):
    """Stands where the decoder stood and returns the states it is given as if it had computed them."""

    @property
    def decoder(self) -> _Passthrough:  # OPT's head asks for `model.decoder`
        return self

    def forward(self, *args: object, inputs_embeds: Tensor, **kwargs: object) -> _States:
        # Some architectures pass their (absent) ids by position.
        return _States(last_hidden_state=inputs_embeds)


def text_logits(backbone: PreTrainedModel, states: Tensor) -> Tensor:
    """What the backbone's own head makes of final states: ``[N, D] -> [N, V]``.

    The forward of the whole causal LM runs with its decoder passed over, so that logit scaling, soft caps and biases
    stay right for every architecture.
    """
    head = copy.copy(backbone)
    head._modules = dict(backbone._modules)
    setattr(head, backbone.base_model_prefix, _Passthrough())
    logits = head(inputs_embeds=states[None], use_cache=False).logits[0]
    if not isinstance(logits, torch.Tensor) or logits.shape[:-1] != states.shape[:-1]:
        raise TypeError(f"{type(backbone).__name__} gave no logits for its states")
    return logits
