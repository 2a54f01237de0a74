from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from smoltolk.model.text_models.text_head import TextHead

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma2": {"head_dim": 8, "final_logit_softcapping": 2.0},  # soft caps
    "granite": {"logits_scaling": 7.0},  # a scale
    "cohere": {"logit_scale": 0.3},
    "phi": {},  # a bias
    "opt": {},  # asks for model.decoder
    "gpt2": {},  # asks for cross attentions
    "gpt_neox": {},  # passes ids by position
    "mixtral": {"num_local_experts": 2},  # asks for router logits
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_the_backbones_own_head(architecture: str, make_text_model: Callable[..., PreTrainedModel]) -> None:
    text_model = make_text_model(architecture, **ARCHITECTURES[architecture])
    ids = torch.arange(12).view(2, 6)
    states = text_model.base_model(ids).last_hidden_state
    base = text_model.base_model
    torch.testing.assert_close(TextHead()(text_model, states.flatten(0, 1)), text_model(ids).logits.flatten(0, 1))
    assert text_model.base_model is base  # nothing was exchanged in the model itself


def test_gradients_reach_states_and_head(make_text_model: Callable[..., PreTrainedModel]) -> None:
    text_model = make_text_model()
    states = torch.randn(4, 32, requires_grad=True)
    TextHead()(text_model, states).sum().backward()
    assert states.grad is not None and text_model.lm_head.weight.grad is not None


def test_no_rows(make_text_model: Callable[..., PreTrainedModel]) -> None:
    assert TextHead()(make_text_model(), torch.zeros(0, 32)).shape == (0, 61)


def test_parts_may_be_exchanged(make_text_model: Callable[..., PreTrainedModel]) -> None:
    text_model, head, states = make_text_model(), TextHead(), torch.randn(2, 32)
    before = head(text_model, states)
    text_model.lm_head = torch.nn.Linear(32, 7)
    torch.testing.assert_close(head(text_model, states), text_model.lm_head(states))
    assert before.shape == (2, 61)
    copied, copied_head = copy.deepcopy((text_model, head))
    torch.nn.init.zeros_(copied.lm_head.weight)
    torch.testing.assert_close(copied_head(copied, states), copied.lm_head(states))
    torch.testing.assert_close(head(text_model, states), text_model.lm_head(states))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_head_that_is_one_matrix_is_known_as_such(
    architecture: str, make_text_model: Callable[..., PreTrainedModel]
) -> None:
    text_model, head = make_text_model(architecture, **ARCHITECTURES[architecture]), TextHead()
    matrix = head.matrix(text_model)
    expected = architecture not in ("gemma2", "granite", "cohere", "phi")  # soft caps, scales, a bias
    assert (matrix is text_model.get_output_embeddings().weight) == expected
    if expected:
        states = torch.randn(5, 32)
        torch.testing.assert_close(torch.nn.functional.linear(states, matrix), head(text_model, states))


def test_what_stands_around_a_head_has_its_say(make_text_model: Callable[..., PreTrainedModel]) -> None:
    text_model, head = make_text_model(), TextHead()
    assert head.matrix(text_model) is not None
    handle = text_model.lm_head.register_forward_hook(lambda module, read, logits: 2 * logits)
    assert head.matrix(text_model) is None
    handle.remove()
    assert head.matrix(text_model) is not None
    text_model.lm_head.forward = lambda states: states  # as accelerate wraps it
    assert head.matrix(text_model) is None
    del text_model.lm_head.forward
    text_model.config.final_logit_softcapping = None
    text_model.lm_head = torch.nn.Linear(32, 61)
    assert head.matrix(text_model) is None
    text_model.lm_head = torch.nn.Linear(32, 61, bias=False)
    assert head.matrix(text_model) is text_model.lm_head.weight
