"""The auxiliary loss by which mixtures of experts keep their routers balanced."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MoeModelOutputWithPast

_WEIGHTS = ("router_aux_loss_coef", "aux_loss_coef")


class _Routed(nn.Module):
    """Stands where the decoder stood and gives what it gave."""

    def __init__(self, output: MoeModelOutputWithPast):
        super().__init__()
        self.output = output

    def forward(self, *args: Any, **kwargs: Any) -> MoeModelOutputWithPast:
        return self.output


def router_loss(
    backbone: PreTrainedModel, final: Tensor, router_logits: tuple[Tensor, ...] | None, attention_mask: Tensor | None
) -> Tensor | None:
    """What a mixture of experts adds to its loss, with its weight; None where it adds nothing.

    It does so where its configuration says ``output_router_logits``, as in transformers. Each architecture has its own
    rule, so its own forward makes the loss, with the decoder passed over. It is a mean over the real positions of all
    layers. Adapters made of such blocks add none.

    Args:
        backbone: the causal LM.
        final: [B, T, D], its final states.
        router_logits: of its layers, as its decoder gave them.
        attention_mask: [B, T] or None, as the decoder was given it.

    Returns:
        0-d, with a gradient for the routers.
    """
    config = backbone.config.get_text_config()
    if not router_logits or not getattr(config, "output_router_logits", False):
        return None
    weight = next((value for name in _WEIGHTS if (value := getattr(config, name, None)) is not None), None)
    if not weight:
        return None
    output = MoeModelOutputWithPast(last_hidden_state=final[:, -1:], router_logits=router_logits)
    head = copy.copy(backbone)
    head._modules = dict(backbone._modules)
    setattr(head, backbone.base_model_prefix, _Routed(output))
    # Of the class, not of the instance: dispatched models have another forward there, which knows the backbone.
    made = type(backbone).forward(
        head, inputs_embeds=final[:, -1:], attention_mask=attention_mask, use_cache=False, output_router_logits=True
    )
    loss = getattr(made, "aux_loss", None)
    return None if loss is None else weight * loss
