"""Scores in every type of number: the softmax is float32, and what is impossible stays so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.modeling import SmolTolkForCausalLM

TYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(scope="module")
def make() -> Callable[..., torch.nn.Module]:
    """``make("text")``, ``make("speech")``, ``make("frames")``: a random model of text, of units or of frames."""

    def made(kind: str, dtype: torch.dtype = torch.float32, **settings: bool) -> torch.nn.Module:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            eos_token_id=1,
        )  # fmt: skip
        model: torch.nn.Module = LlamaForCausalLM(config)
        if kind != "text":
            units = {"num_units": 12, "num_codebooks": 3 if kind == "frames" else 1}
            model = SmolTolkForCausalLM.from_text_model(model, **units, **settings)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model.eval().to(dtype)

    return made


def sequences(model: torch.nn.Module, kind: str) -> list[Scored]:
    rng = np.random.default_rng(0)
    if kind == "text":
        return [Scored([1, *rng.integers(2, 50, n)], 1) for n in (5, 9, 30)]
    space = model.config.id_space
    shape = (3,) if kind == "frames" else ()
    documents = [
        Document(space).text([5, 6, 7]).switch().speech(rng.integers(0, 12, (n, *shape))).switch().text([8, 9]).end()
        for n in (4, 9, 20)
    ]
    return [Scored.of(document, 1, space) for document in documents]


@pytest.mark.parametrize("kind", ["text", "speech", "frames"])
def test_autocast_is_close_and_is_not_the_same(kind: str, make: Callable) -> None:
    model = make(kind)
    asked, space = sequences(model, kind), None if kind == "text" else model.config.id_space
    exact, rounded = (score(model, asked, space=space, autocast=cast) for cast in (False, True))
    assert (exact.count == rounded.count).all()
    each = np.abs(exact.nll - rounded.nll) / exact.count
    assert (each < 0.02).all() and (each > 1e-6).all()  # eight bits of a number
    with torch.autocast("cpu", torch.bfloat16):  # what surrounds it decides nothing
        assert (score(model, asked, space=space).nll == exact.nll).all()


@pytest.mark.parametrize("kind", ["text", "speech", "frames"])
def test_a_model_that_was_trained_under_autocast(kind: str, make: Callable) -> None:
    """accelerate leaves its autocast around the forward of a model that it has trained: scores are as before."""
    model = make(kind)
    asked, space = sequences(model, kind), None if kind == "text" else model.config.id_space
    exact = score(model, asked, space=space)
    AcceleratorState._reset_state(reset_partial_state=True)  # of a Trainer of another test, in this process
    try:
        prepared = Accelerator(cpu=True, mixed_precision="bf16").prepare_model(model, evaluation_mode=True)
        assert prepared is model and vars(model)["forward"] is not vars(model)["_original_forward"]
        forward = model.forward
        assert (score(model, asked, space=space).nll == exact.nll).all()
        assert model.forward is forward
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("kind", ["text", "speech", "frames"])
def test_types_agree(kind: str, dtype: torch.dtype, make: Callable) -> None:
    """Whatever the weights are, softmax and sum are not: errors are those of the states."""
    exact, model = make(kind), make(kind, dtype)
    asked, space = sequences(model, kind), None if kind == "text" else model.config.id_space
    wanted, found = (score(one, asked, space=space) for one in (exact, model))
    assert (np.abs(wanted.nll - found.nll) / found.count < (0 if dtype == torch.float32 else 0.03) + 1e-9).all()
    assert (score(model, asked, space=space, autocast=True).nll / found.count < 20).all()


@pytest.mark.parametrize("predict_switch", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_what_is_impossible_is_refused(
    dtype: torch.dtype, autocast: bool, predict_switch: bool, make: Callable
) -> None:
    """fp16 has no number beyond 65,504, which is a surprise that a sum of nats could come near to."""
    model = make("speech", dtype, predict_switch=predict_switch)
    space = model.config.id_space
    unit, good = space.speech_offset + 3, Scored([1, 5, 6], 1)
    for wrong in ([1, 5, unit], [space.eos_speech, unit, 5], [1, 5, space.switch, 6]):
        with pytest.raises(InputError, match="sequence 1 has an NLL of inf"):
            score(model, [good, Scored(wrong, 2)], space=space, autocast=autocast)
    with torch.no_grad():
        model.backbone.base_model.norm.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="sequence 0 has an NLL of nan"):
        score(model, [good], space=space, autocast=autocast)


def test_a_table_of_positions_has_an_end() -> None:
    sizes = {"vocab_size": 50, "n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 1, "eos_token_id": 1}
    text_model = GPT2LMHeadModel(GPT2Config(**sizes, n_positions=16)).eval()
    smoltolk = SmolTolkForCausalLM.from_text_model(text_model, num_units=12).eval()
    for model, space in ((text_model, None), (smoltolk, smoltolk.config.id_space)):
        assert score(model, [Scored([1, *[3] * 15], 1)], space=space).count[0] == 15
        with pytest.raises(InputError, match="17 ids, and the model has 16 positions"):
            score(model, [Scored([1, *[3] * 16], 1)], space=space)
    rotary = LlamaForCausalLM(
        LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                    max_position_embeddings=16)
    )  # fmt: skip
    assert score(rotary, [Scored([1, *[3] * 30], 1)]).count[0] == 30
