"""The text head on any layer (the logit lens: nostalgebraist, "interpreting GPT", 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smoltolk.analysis.states import BATCH_TOKENS, Place, each_state, read_documents
from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import Document
from smoltolk.model.text_models.text_head import TextHead

_ROWS = 64  # of logits at once: 32 MiB at 128k tokens


@torch.no_grad()
def layer_logits(
    model: Any,
    documents: Sequence[Document],
    places: Sequence[Place],
    *,
    batch_tokens: int = BATCH_TOKENS,
    bar: Bar | None = None,
) -> Iterator[tuple[np.ndarray, int, Tensor]]:
    """What the backbone's own final norm and head make of the states of each layer.

    Args:
        model: a :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`.
        documents: of its ids.
        places: where the head is put: at the last of these positions of a document.
        batch_tokens: most ids, padding included, in one batch.
        bar: advanced by documents.

    Yields:
        ``(numbers of places [n], layer, logits float32 [n, V])``, a few places at a time: of each every layer, from 0,
        what the backbone reads, to L, whose logits are the model's own.
    """
    head = TextHead()
    with final_norm(model.backbone.base_model) as normed:
        for members, output in read_documents(
            model, documents, batch_tokens=batch_tokens, bar=bar, output_hidden_states=True
        ):
            items, states_of = each_state(output.hidden_states, places, members)
            last = len(output.hidden_states) - 1
            for layer in range(last + 1):
                states = states_of(layer)
                if layer < last:  # the last lies behind it
                    states = normed(states)
                for start in range(0, len(items), _ROWS):
                    few = slice(start, start + _ROWS)
                    yield items[few], layer, head(model.backbone, states[few]).float()


@contextmanager
def final_norm(decoder: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """What a decoder does to the states of its last layer before it hands them out, found by watching it.

    Architectures call it ``norm``, ``ln_f`` or ``final_layer_norm``, keep it at different places, and some have none:
    it is the module whose output the decoder's is. It is known once the decoder has run.
    """
    last: list[nn.Module] = []
    made: list[tuple[nn.Module, Tensor]] = []

    def watch(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            made.append((module, output))

    def decide(_: nn.Module, __: Any, output: Any) -> None:
        states = output.last_hidden_state
        # Some give their states another shape behind it.
        same = [module for module, tensor in made if tensor.data_ptr() == states.data_ptr()]
        last[:] = [module for module in same if "Norm" in type(module).__name__]
        made.clear()

    blocks = {part for group in decoder.modules() if isinstance(group, nn.ModuleList) for part in group.modules()}
    watched = [module for module in decoder.modules() if module is not decoder and module not in blocks]
    handles = [module.register_forward_hook(watch) for module in watched]
    handles.append(decoder.register_forward_hook(decide))
    try:
        yield lambda states: last[-1](states) if last else states
    finally:
        for handle in handles:
            handle.remove()
