"""torch.compile sees the whole model as one graph, in decoding and in training, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from smoltolk.data.rows.loader import RowCollator
from smoltolk.model.generation.compiled import compiled_decoding
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Write = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("prompts", [("tttsuuuu", "uuuuuuuu"), ("uuuustt", "ttttttt")], ids=["speech", "text"])
def test_decoding_with_a_static_cache_is_one_graph(prompts: tuple[str, ...], make_model: Make, write: Write) -> None:
    model = make_model()
    ids = write(model.config.id_space, *prompts)
    settings: dict[str, Any] = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    expected = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)
    how = compiled_decoding("cpu")
    # The graph is what a compiler may stumble over; making code of it takes a minute.
    how["compile_config"].backend, how["compile_config"].fullgraph = "eager", True
    found = model.generate(ids, attention_mask=torch.ones_like(ids), **how, **settings)
    assert torch.equal(found, expected)
    assert model._compiled_call is not None  # else transformers found a reason not to compile


def test_training_loss_and_gradients(make_model: Make, ids: Tensor) -> None:
    model = make_model().train()
    documents = torch.arange(ids.shape[1]).ge(11).long().expand_as(ids)
    rows = [{"input_ids": i, "labels": i, "document_ids": d} for i, d in zip(ids, documents, strict=True)]
    batch = RowCollator(model.config.id_space)(rows)

    def gradients(forward: Callable[..., Any]) -> dict[str, Tensor]:
        model.zero_grad()
        forward(**batch).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    expected = gradients(model)
    found = gradients(torch.compile(model, backend="eager"))
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4)


def test_the_text_head_is_left_out_where_speech_follows(make_model: Make, write: Write) -> None:
    model = make_model()
    space = model.config.id_space
    speech, both = write(space, "tsuuu", "uuuuu"), write(space, "tsuuu", "uuuut")
    calls: list[int] = []
    handle = model.get_output_embeddings().register_forward_hook(lambda *_: calls.append(1))
    whole = model(speech).logits  # text comes first
    assert len(calls) == 1
    last = model(speech, logits_to_keep=1).logits
    promised = model(speech, logits_to_keep=1, speech_only=True).logits
    assert len(calls) == 1
    assert torch.equal(last, promised) and torch.allclose(last, whole[:, -1:], atol=1e-6)
    model(both, logits_to_keep=1)
    assert len(calls) == 2
    handle.remove()
