"""Blocks that begin as the identity: they pass on what they read until they have learnt what to add to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError

_TRIED = 8  # positions that blocks are tried on


@torch.no_grad()
def silence(text_model: PreTrainedModel, blocks: Sequence[nn.Module]) -> None:
    """Take away, in place, what blocks add to their input, but nothing more than that needs.

    That is the last weights of each branch, of the attention and of the feed-forward part: mostly a linear layer, as in
    LLaMA-Pro (arXiv 2401.02415); a norm's gain where a norm stands behind it. Which ones they are is tried out, since
    names differ per architecture: of a block that is all zero, weights get their values back in the order in which it
    uses them, unless it then is the identity no more.

    Args:
        text_model: whose blocks they are.
        blocks: to be silenced.

    Raises:
        InputError: such a block is not the identity even if all of it is zero.
    """
    was_training = text_model.training
    text_model.eval()
    try:
        for block, (args, kwargs) in zip(blocks, _inputs(text_model, blocks), strict=True):
            weights = [
                (parameter, _silent_value(module))
                for module in _by_use(block, args, kwargs)
                for parameter in module.parameters(recurse=False)
            ]
            values = [parameter.clone() for parameter, _ in weights]
            for parameter, silent in weights:
                parameter.fill_(silent)
            if not _is_identity(block, args, kwargs):
                raise InputError(
                    "new layers among old ones begin as the identity, so blocks must add something to what they read",
                    f"{type(text_model).__name__}: its blocks do more than that",
                    "append new layers behind the last one, or use another text model",
                )
            for (parameter, silent), value in zip(weights, values, strict=True):
                parameter.copy_(value)
                if not _is_identity(block, args, kwargs):
                    parameter.fill_(silent)
    finally:
        text_model.train(was_training)


def _inputs(text_model: PreTrainedModel, blocks: Sequence[nn.Module]) -> list[tuple[tuple, dict[str, Any]]]:
    """What each block is called with, on a few states."""
    caught: dict[nn.Module, tuple[tuple, dict[str, Any]]] = {}

    def catch(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        caught[block] = (args, kwargs)

    hooks = [block.register_forward_pre_hook(catch, with_kwargs=True) for block in blocks]
    table = text_model.get_input_embeddings().weight
    states = torch.randn(1, _TRIED, table.shape[1], generator=torch.Generator().manual_seed(0)).to(table)
    try:
        text_model.base_model(inputs_embeds=states, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return [caught[block] for block in blocks]


def _by_use(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> list[nn.Module]:
    """The modules of a block in the order in which they have done their work; first those that are never called."""
    used: dict[nn.Module, None] = {}
    hooks = [module.register_forward_hook(lambda module, *_: used.setdefault(module)) for module in block.modules()]
    try:
        block(*args, **kwargs)
    finally:
        for hook in hooks:
            hook.remove()
    return [*(module for module in block.modules() if module not in used), *used]


def _silent_value(module: nn.Module) -> float:
    """0, but for norms that multiply by one more than their weight (Gemma): -1."""
    if not type(module).__name__.endswith("Norm") or {name for name, _ in module.named_parameters()} != {"weight"}:
        return 0.0
    gain = module.get_parameter("weight")
    value = gain.clone()
    gain.zero_()
    one_more = bool(module(torch.arange(len(gain)).to(gain)).any())
    gain.copy_(value)
    return -float(one_more)


def _is_identity(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> bool:
    given = args[0] if args else kwargs["hidden_states"]
    output = block(*args, **kwargs)
    return torch.equal(output[0] if isinstance(output, tuple) else output, given)
