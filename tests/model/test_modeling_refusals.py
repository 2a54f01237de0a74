"""What the model refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Write = Callable[..., Tensor]


@pytest.mark.parametrize("bad", [-1, 10_000])
def test_ids_out_of_range(bad: int, model: SmolTolkForCausalLM) -> None:
    with pytest.raises(InputError, match=f"ids must lie in 0..{model.config.vocab_size - 1}"):
        model(torch.tensor([[3, bad]]))


def test_embeddings_instead_of_ids(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    for inputs in (
        {"inputs_embeds": torch.zeros(1, 3, 32)},
        {"input_ids": ids, "inputs_embeds": torch.zeros(2, 25, 32)},
        {},
    ):
        with pytest.raises(InputError, match="the model reads ids"):
            model(**inputs)


def test_packed_documents_with_a_cache(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
    with pytest.raises(InputError, match="packed documents are for training"):
        model(ids, document_ids=torch.zeros_like(ids), past_key_values=cache)
    with pytest.raises(InputError, match="packed documents are for training"):
        model(ids, document_ids=torch.zeros_like(ids), use_cache=True)


def test_a_cache_that_is_given_grows(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
        assert model(ids[:, :1], past_key_values=cache).past_key_values is cache and cache.get_seq_length() == 26
        assert model(ids, use_cache=False).past_key_values is None
    with pytest.raises(InputError, match="a cache that is given is read and grows"):
        model(ids[:, :1], past_key_values=cache, use_cache=False)


def test_padding_inside_a_packed_document(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    mask = torch.ones_like(ids)
    mask[1, 10] = 0
    with pytest.raises(InputError, match="before position 11 of row 1"):
        model(ids, attention_mask=mask, document_ids=torch.zeros_like(ids))


def test_the_table_of_a_model_that_speaks_cannot_grow(make_model: Make) -> None:
    model = make_model()
    table = model.get_input_embeddings()
    for number in (None, 61, 5):
        assert model.resize_token_embeddings(number) is table and table.weight.shape[0] == 64
    with pytest.raises(InputError, match="62 ids asked for, the text model brought 61"):
        model.resize_token_embeddings(62)


def test_weights_from_before_ids_moved_are_refused_by_name(make_model: Make) -> None:
    model = make_model()
    lora = {"input_adapter.model.layers.0.self_attn.q_proj.lora_A.default.weight": torch.zeros(2, 32)}
    with pytest.raises(InputError, match=r"from before smoltolk 0\.1"):
        model.load_state_dict(lora, strict=False)
    wrapper = torch.nn.Module()  # as PEFT stands around it
    wrapper.model = model
    with pytest.raises(InputError, match=r"from before smoltolk 0\.1"):
        wrapper.load_state_dict({f"model.{name}": value for name, value in lora.items()}, strict=False)


def test_a_trainer_that_took_the_labels_away(model: SmolTolkForCausalLM, ids: Tensor) -> None:
    with pytest.raises(InputError, match="label_smoothing_factor=0"):
        model(ids, num_items_in_batch=20)


@pytest.mark.parametrize("wrong", [[0, 1, 2, 3, 4, 5], [0, 1, 0, 0, 1, 2], [0, 2, 3, 0, 1, 2]])
def test_positions_that_contradict_the_documents(wrong: list[int], model: SmolTolkForCausalLM, write: Write) -> None:
    ids, documents = write(model.config.id_space, "ttsuuu"), torch.tensor([[0, 0, 0, 1, 1, 1]])
    with pytest.raises(InputError, match="packed documents are kept apart by positions"):
        model(ids, document_ids=documents, position_ids=torch.tensor([wrong]))
    model(ids, document_ids=documents, position_ids=torch.tensor([[0, 1, 2, 0, 1, 2]]))


@pytest.mark.parametrize("architecture", ["llama", "opt"])
def test_what_is_refused_is_refused_whether_documents_are_packed_or_not(
    architecture: str, make_model: Make, make_text_model: Callable[..., PreTrainedModel], ids: Tensor
) -> None:
    model = make_model(make_text_model(architecture))
    documents = torch.zeros_like(ids)
    for inputs, message in (
        ({"use_cache": True}, "packed documents are for training"),
        ({"inputs_embeds": torch.zeros(2, 25, 32)}, "the model reads ids"),
        ({"document_ids": documents[:, 1:]}, "document_ids lie beside the ids"),
        ({"labels": documents[:, 1:]}, "labels lie beside the ids"),
        ({"labels": documents + 10_000}, "labels must lie in"),
        ({"output_nll": True}, "output_nll without labels"),
    ):
        with pytest.raises(InputError, match=message):
            model(**{"input_ids": ids, "document_ids": documents} | inputs)
