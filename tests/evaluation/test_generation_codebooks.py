"""Continuations of a model of several codebooks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.evaluation.generation import Generation, Sampling, generate, to_frames
from smoltolk.model.modeling import SmolTolkForCausalLM

Q = 3


@pytest.fixture(scope="module")
def three() -> SmolTolkForCausalLM:
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, eos_token_id=1
    )
    torch.manual_seed(0)
    return SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=9, num_codebooks=Q).eval()


def frames(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 9, (number, Q))


@pytest.fixture(scope="module")
def prompts(three: SmolTolkForCausalLM) -> list[Document]:
    space = three.config.id_space
    return [
        synthesis_prompt(space, [3, 4, 5]),
        Document(space).speech(frames(6)),
        recognition_prompt(space, frames(4)),
        Document(space).text([3]).switch().speech(frames(2)).switch().text([6, 7]).switch().speech(frames(3, 1)),
    ]


def settings(model: SmolTolkForCausalLM) -> dict:
    space = model.config.id_space
    return {"end_id": space.eos_speech, "pad_id": space.eos_text, "max_new_tokens": 9}


def test_a_batch_of_documents_is_each_alone(three: SmolTolkForCausalLM, prompts: list[Document]) -> None:
    together = generate(three, prompts, **settings(three))
    for prompt, made in zip(prompts, together, strict=True):
        (alone,) = generate(three, [prompt], **settings(three))
        assert made.ids.tolist() == alone.ids.tolist() and made.codes.tolist() == alone.codes.tolist()
        assert made.codes.shape == (len(made.ids), Q - 1)


def test_frames_are_those_behind_the_prompt(three: SmolTolkForCausalLM, prompts: list[Document]) -> None:
    space = three.config.id_space
    options = settings(three) | {"max_new_tokens": 400, "sampling": Sampling(temperature=3.0)}
    made = generate(three, prompts, seed=2, **options)
    for number, (prompt, one) in enumerate(zip(prompts, made, strict=True)):
        found = to_frames(prompt, one, space)
        if number == 2:
            assert len(found) == 0 and (one.ids < space.speech_offset).all()
            continue
        assert one.ended and found.shape[1] == Q and (found >= 0).all()
        units = one.ids[(one.ids >= space.speech_offset) & (one.ids < space.eos_speech)] - space.speech_offset
        assert len(units) > 0 and found[:, 0].tolist() == units.tolist()
        assert one.codes.shape[0] == len(units) + 2


def test_a_continuation_cut_short_leaves_out_what_is_not_complete(
    three: SmolTolkForCausalLM, prompts: list[Document]
) -> None:
    space = three.config.id_space
    (made,) = generate(three, prompts[1:2], **(settings(three) | {"end_id": 2}))
    spoken = int(((made.ids >= space.speech_offset) & (made.ids < space.eos_speech)).sum())
    assert not made.ended and len(to_frames(prompts[1], made, space)) in (spoken, spoken - 2)


def test_mistakes(three: SmolTolkForCausalLM, prompts: list[Document]) -> None:
    space = three.config.id_space
    with pytest.raises(InputError, match="1 prompts of ids alone"):
        generate(three, [prompts[0], prompts[1].input_ids], **settings(three))
    with pytest.raises(InputError, match="first of 3 codebooks and needs the others"):
        generate(three, [prompts[1].input_ids], **settings(three))
    with pytest.raises(InputError, match="frames need the codes"):
        to_frames(prompts[0], Generation(np.zeros(2, np.int64), True), space)
