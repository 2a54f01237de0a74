"""Which layers speech is read from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.inference.batches import evaluating
from smoltolk.model.configuration import SmolTolkConfig


def layer_names(config: SmolTolkConfig) -> list[str]:
    """Names of the layers that a model mixes, in their order: ``1`` .. ``L`` of the backbone, ``in 1`` .. before them.

    The input adapter's layers are among them where ``layer_mix_pool`` is ``all``.
    """
    num_inputs = config.num_mixed_layers - config.num_layers
    names = [f"in {number + 1}" for number in range(num_inputs)]
    return names + [str(number + 1) for number in range(config.num_layers)]


@torch.no_grad()
def selector_profile(model: Any, documents: Sequence[np.ndarray | Document]) -> dict[str, list]:
    """Mean weight of each layer over the speech positions of some documents.

    Args:
        model: a :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`. One that mixes nothing reads one layer.
        documents: ids [n] each, or documents, which hold frames of several codebooks too.

    Returns:
        ``layers``, the :func:`layer_names`, and ``weights``, which sum to 1.

    Raises:
        InputError: no speech in the documents.
    """
    config, device = model.config, next(model.parameters()).device
    names = layer_names(config)
    total, count = torch.zeros(len(names), dtype=torch.float64), 0
    with evaluating(model):
        for document in documents:
            written = document.input_ids if isinstance(document, Document) else np.asarray(document)
            ids, beside = torch.from_numpy(written)[None].to(device), {}
            if isinstance(document, Document) and config.num_codebooks > 1:
                beside["codes"] = torch.from_numpy(document.codes)[None].to(device)
            found = model(input_ids=ids, output_selector_weights=True, logits_to_keep=1, **beside).selector_weights
            weights = _alone(model.layer_mix.alone, len(names)) if found is None else found.double().cpu()
            speech = ids[0].cpu() >= config.speech_offset
            total += weights.expand(*ids.shape, -1)[0][speech].sum(0)
            count += int(speech.sum())
    if count == 0:
        raise InputError(
            "a selector is looked at where speech is read", "no speech in these documents", "give spoken ones"
        )
    return {"layers": names, "weights": (total / count).tolist()}


def _alone(layer: int, num_layers: int) -> torch.Tensor:
    """Weights [num_layers] of a mix that is one layer, counted from 1."""
    return torch.nn.functional.one_hot(torch.tensor(layer - 1), num_layers).double()
