"""What users of Hugging Face do to any model: settings to try it in, and the loss that logits imply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from smoltolk.model.modeling import SmolTolkForCausalLM

NARROW = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
SETTINGS: dict[str, dict[str, Any]] = {
    "paper": {},
    "early fusion": {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False},
    "late fusion only": {"num_output_layers": 0, "layer_mix": "last"},
    "late fission only": {"num_input_layers": 0, "layer_mix": "last"},
    "static mix of all layers": {"layer_mix": "static", "layer_mix_pool": "all", "layer_mix_norm": True},
    "narrow, mix of all layers": {
        "input_adapter_size": NARROW,
        "output_adapter_size": NARROW,
        "speech_residual": False,
        "layer_mix_pool": "all",
    },
    "two widths": {
        "input_adapter_size": NARROW,
        "output_adapter_size": {"hidden_size": 24},
        "speech_residual": False,
        "tie_speech_embeddings": False,
    },
    "patches": {"patch_size": 3},
    "split top layers": {
        "num_input_layers": 0,
        "num_output_layers": 2,
        "speech_residual": False,
        "layer_mix": "fixed",
        "fission_layer": 1,
        "copies_top_layers": True,
    },
    "inserted layers": {
        "num_input_layers": 0,
        "num_output_layers": 0,
        "layer_mix": "last",
        "speech_residual": False,
        "new_layers": [0, 2],
    },
    "untied, predicted switch": {"tie_speech_embeddings": False, "predict_switch": True},
}


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS)
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every setting in turn."""
    return request.param


def _possible(logits: Tensor) -> Tensor:
    return logits > torch.finfo(logits.dtype).min / 2


def _nll(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """NLL [B, T] of labels under logits that were made at the position before, and where they are predicted at all.

    A label is predicted where it is not -100 and not impossible: that is the one rule of all of these tests.
    """
    wanted = labels[:, 1:]
    chosen = wanted.clamp(min=0)[..., None]
    predicted = (wanted != -100) & _possible(logits[:, :-1].gather(-1, chosen))[..., 0]
    # The other modality's ids hold the dtype's minimum, which a softmax in bfloat16 still counts.
    held = logits[:, :-1].float().masked_fill(~_possible(logits[:, :-1]), -torch.inf)
    found = -held.log_softmax(-1).gather(-1, chosen)[..., 0]
    pad = torch.nn.functional.pad
    return pad(torch.where(predicted, found, 0.0), (1, 0)), pad(predicted, (1, 0))


@pytest.fixture(scope="session")
def nll_of_logits() -> Callable[..., tuple[Tensor, Tensor]]:
    """``nll, predicted = nll_of_logits(logits, labels)``: [B, T] each, at the labels' own places."""
    return _nll


@pytest.fixture(scope="session")
def without_entropy() -> Callable[..., Tensor]:
    """``without_entropy(model, output)``: the loss less the share of the selector's entropy."""

    def take(model: SmolTolkForCausalLM, output: Any) -> Tensor:
        if output.selector_entropy is None:
            return output.loss
        return output.loss + model.config.entropy_weight * output.selector_entropy

    return take


def _pad(rows: list[Tensor], places: str, filler: int, others: list[Tensor] | None = None) -> tuple[Tensor, ...]:
    """Rows [T_i], and what lies beside them, into one batch; padding ``left``, ``right``, ``middle`` or ``spread``."""
    longest = max(len(row) for row in rows) + 3
    kept = []
    for number, row in enumerate(rows):
        index = torch.arange(len(row))
        gaps = longest - len(row)
        generator = torch.Generator().manual_seed(number)
        if places == "left":
            index = index + gaps
        elif places == "middle":
            index = index + gaps * (index >= len(row) // 2)
        elif places == "spread":
            index = torch.randperm(longest, generator=generator)[: len(row)].sort().values
        kept.append(index)
    ids = torch.full((len(rows), longest), filler)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    beside = None if others is None else torch.full((len(rows), longest, others[0].shape[-1]), -1)
    for number, (row, index) in enumerate(zip(rows, kept, strict=True)):
        ids[number, index], mask[number, index] = row, 1
        if beside is not None and others is not None:
            beside[number, index] = others[number]
    return (ids, mask) if beside is None else (ids, mask, beside)


@pytest.fixture(scope="session")
def padded() -> Callable[..., tuple[Tensor, ...]]:
    """``ids, mask = padded(rows, "middle", filler)``; with codes beside the rows, codes too."""
    return _pad
