"""Continuations of a model of several codebooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.inference.generation import Sampling, generate, to_units
from smoltolk.model.modeling import SmolTolkForCausalLM

Q = 3


@pytest.fixture(scope="module")
def make_three() -> Callable[..., SmolTolkForCausalLM]:
    def make(**options: Any) -> SmolTolkForCausalLM:
        config = LlamaConfig(
            vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            eos_token_id=1,
        )  # fmt: skip
        torch.manual_seed(0)
        made = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=9, num_codebooks=Q, **options)
        return made.eval()

    return make


@pytest.fixture(scope="module")
def three(make_three: Callable[..., SmolTolkForCausalLM]) -> SmolTolkForCausalLM:
    """Read only."""
    return make_three()


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


def never_ends(model: SmolTolkForCausalLM) -> SmolTolkForCausalLM:
    space = model.config.id_space
    model.generation_config.suppress_tokens = [space.eos_speech, space.pad_speech]
    return model


def settings(model: SmolTolkForCausalLM) -> dict:
    space = model.config.id_space
    return {"end_id": space.eos_speech, "pad_id": space.eos_text, "max_new_tokens": 9}


def test_a_batch_of_documents_is_each_alone(three: SmolTolkForCausalLM, prompts: list[Document]) -> None:
    together = generate(three, prompts, **settings(three))
    for prompt, made in zip(prompts, together, strict=True):
        (alone,) = generate(three, [prompt], **settings(three))
        assert made.ids.tolist() == alone.ids.tolist() and made.frames.tolist() == alone.frames.tolist()


def test_frames_are_those_behind_the_prompt(three: SmolTolkForCausalLM, prompts: list[Document]) -> None:
    space = three.config.id_space
    options = settings(three) | {"max_new_tokens": 100, "sampling": Sampling(temperature=3.0)}
    made = generate(three, prompts, seed=2, **options)
    for number, one in enumerate(made):
        found = to_units(one, space)
        if number == 2:
            assert found.shape == (0, Q) and (one.ids < space.speech_offset).all()
            continue
        assert one.ended and found.shape[1] == Q and (found >= 0).all()
        units = one.ids[(one.ids >= space.speech_offset) & (one.ids < space.eos_speech)] - space.speech_offset
        assert len(units) > 0 and found[:, 0].tolist() == units.tolist()


@pytest.mark.parametrize("delays", [[0, 1, 2], [0, 0, 0], [0, 3, 1]])
@pytest.mark.parametrize("most", [1, 2, 9])
def test_the_limit_counts_whole_frames(delays: list[int], most: int, make_three: Callable) -> None:
    """A run that is cut off has as many complete frames as were asked for: its delay has positions of its own."""
    model = never_ends(make_three(codebook_delays=delays))
    space = model.config.id_space
    heard = Document(space).speech(frames(6))
    for prompt in (synthesis_prompt(space, [3, 4, 5]), heard):
        (made,) = generate(model, [prompt], **(settings(model) | {"max_new_tokens": most}))
        assert not made.ended and to_units(made, space).shape == (most, Q)


def test_frames_are_what_the_model_read_itself(three: SmolTolkForCausalLM) -> None:
    """Each frame put back behind the prompt gives the same continuation: no frame is lost, doubled or shifted."""
    space = three.config.id_space
    said, more = frames(5), {"max_new_tokens": 12}
    (whole,) = generate(three, [Document(space).speech(said)], **(settings(three) | more))
    for split in range(1, len(whole.frames)):
        prompt = Document(space).speech(np.concatenate([said, whole.frames[:split]]))
        (rest,) = generate(three, [prompt], **(settings(three) | {"max_new_tokens": 12 - split}))
        assert rest.frames.tolist() == whole.frames[split:].tolist()


def test_mistakes(three: SmolTolkForCausalLM, prompts: list[Document]) -> None:
    for given in ([prompts[0], prompts[1].input_ids], [prompts[1].input_ids, prompts[0]]):
        with pytest.raises(InputError, match="1 prompts of ids alone"):
            generate(three, given, **settings(three))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("sampling", [None, Sampling()])
def test_every_type_of_numbers(dtype: torch.dtype, sampling: Sampling | None, make_three: Callable) -> None:
    model = never_ends(make_three()).to(dtype)
    space = model.config.id_space
    prompts = [synthesis_prompt(space, [3, 4, 5]), Document(space).speech(frames(6))]
    for cast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, cast):
            made = generate(model, prompts, **settings(model), sampling=sampling)
        for one in made:
            assert one.frames.shape == (9, Q) and one.frames.min() >= 0 and one.frames.max() < 9
