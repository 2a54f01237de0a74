"""Norms by group, before clipping."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from smoltolk.training.loop.gradients import GradientNorms


def test_norms_are_those_before_clipping(build: Callable) -> None:
    model = build()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    speech = model.speech_parameters()
    table = model.get_input_embeddings().weight  # tied: it is the head too
    parts = {
        "speech": [parameter.grad for parameter in speech.values()],
        "text_tables": [table.grad],
        "backbone": [p.grad for name, p in model.named_parameters() if name not in speech and p is not table],
    }
    expected = {name: torch.cat([grad.flatten() for grad in grads]).norm().item() for name, grads in parts.items()}
    total = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    norms = GradientNorms(model)
    norms.take()
    assert norms.told(float(total)) == pytest.approx({f"grad_norm/{name}": value for name, value in expected.items()})


def test_what_is_frozen_has_no_norm(build: Callable) -> None:
    model = build()
    for parameter in model.speech_parameters().values():
        parameter.grad = torch.ones_like(parameter)
    norms = GradientNorms(model)
    norms.take()
    assert norms.told(2.0) == {"grad_norm/speech": pytest.approx(2.0)}
