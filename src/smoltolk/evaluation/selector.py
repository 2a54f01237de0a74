"""Which layers speech is read from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smoltolk.evaluation.scoring import evaluating


@torch.no_grad()
def selector_profile(model: Any, documents: Sequence[np.ndarray]) -> dict[str, list]:
    """Mean selector weight of each backbone layer over the speech positions of some documents.

    Args:
        model: a :class:`~smoltolk.model.modeling.SmolTolkForCausalLM` with a static or dynamic mix.
        documents: ids [n] each.

    Returns:
        ``layers``, their numbers from 1 as strings, and ``weights``, which sum to 1.
    """
    total = torch.zeros(model.config.text_config.num_hidden_layers, dtype=torch.float64)
    count = 0
    with evaluating(model):
        for document in documents:
            ids = torch.from_numpy(np.asarray(document))[None].to(next(model.parameters()).device)
            weights = model(input_ids=ids, output_selector_weights=True, logits_to_keep=1).selector_weights
            speech = ids[0] >= model.config.speech_offset
            weights = weights.expand(*ids.shape, -1)[0][speech]
            total += weights.double().sum(0).cpu()
            count += len(weights)
    return {"layers": [str(n + 1) for n in range(len(total))], "weights": (total / max(count, 1)).tolist()}
