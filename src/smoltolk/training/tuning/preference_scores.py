"""Which of two answers a model finds likelier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.tuning.encoding import Encoded
from smoltolk.training.tuning.lora import has_lora
from smoltolk.training.tuning.turn_rows import collate_documents


def preference_accuracy(model: Any, pairs: Sequence[Encoded], batch_size: int = 16) -> dict[str, float]:
    """Share of the pairs whose better answer is likelier than the worse one, as it stands and by its mean over ids.

    Args:
        model: a SmolTolk model, or PEFT's around one; left in the mode that it is in.
        pairs: preferences.
        batch_size: pairs at a time.

    Returns:
        ``accuracy`` and ``accuracy_per_id``, which does not favour the shorter answer; nothing without pairs.
    """
    if not pairs:
        return {}
    total, mean = answer_margins(model, pairs, batch_size)
    return {"accuracy": float(np.mean(total > 0)), "accuracy_per_id": float(np.mean(mean > 0))}


@torch.no_grad()
def answer_margins(model: Any, pairs: Sequence[Encoded], batch_size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """log p(better answer) - log p(worse answer) of each pair, nats, float64 [n]: whole, and of means over ids."""
    inner: SmolTolkForCausalLM = model.get_base_model() if has_lora(model) else model
    training = model.training
    model.eval()
    sums, means = [], []
    for begin in range(0, len(pairs), batch_size):
        some = pairs[begin : begin + batch_size]
        documents = [document for one in some for document in (one.chosen, one.rejected) if document is not None]
        batch = collate_documents(documents, inner.config.id_space)
        spans = batch.pop("spans")
        batch = {name: value.to(inner.device) for name, value in batch.items()}
        labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)
        nll = inner.nll(batch.pop("input_ids"), labels, spans=[span.to(inner.device) for span in spans], **batch)
        total = torch.where(nll.isfinite(), nll, 0.0).double().sum(1).cpu().numpy()
        count = ((labels != -100) & nll.isfinite()).sum(1).clamp(min=1).cpu().numpy()
        sums.append(total[1::2] - total[::2])
        means.append((total / count)[1::2] - (total / count)[::2])
    model.train(training)
    return np.concatenate(sums), np.concatenate(means)
