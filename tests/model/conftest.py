"""Tiny random models, and rows of ids written as letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from smoltolk.model.codec.delays import delayed
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM

NUM_UNITS = 20
SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
MIXED = "tttttsuuuuuuustttsuuuuuuu"  # text, a span, a switch back to text, a span


@torch.no_grad()
def roughen(model: torch.nn.Module, seed: int = 0) -> None:
    """Weights large enough that every part shows in the output, and no norm or bias at its neutral value."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(noise * (0.06 if parameter.ndim > 1 else 0.1))


@pytest.fixture(scope="session")
def make_text_model() -> Callable[..., PreTrainedModel]:
    """``make_text_model("qwen3", sliding_window=4)``: a random text model of that architecture."""

    def make(architecture: str = "llama", **changes: Any) -> PreTrainedModel:
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **(SIZES | changes)))
        roughen(model)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def make_model(make_text_model: Callable[..., PreTrainedModel]) -> Callable[..., SmolTolkForCausalLM]:
    """``make_model(layer_mix="static")``: a random SmolTolk model with that setting, around a tiny Llama."""

    def make(text_model: PreTrainedModel | None = None, **settings: Any) -> SmolTolkForCausalLM:
        source = make_text_model() if text_model is None else text_model
        model = SmolTolkForCausalLM.from_text_model(source, num_units=NUM_UNITS, **settings)
        for part in (model.late_fusion, model.late_fission, model.layer_mix):
            roughen(part, seed=1)
        torch.nn.init.normal_(model.units.embed.weight, std=0.5)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., SmolTolkForCausalLM]) -> SmolTolkForCausalLM:
    """The paper's model. Read only."""
    return make_model()


@pytest.fixture(scope="session")
def write() -> Callable[..., Tensor]:
    """``write(space, "ttsuu", "uuuuu")``: ids [2, 5]; t a text id, s a <switch>, u a unit."""

    def write_rows(space: IdSpace, *rows: str, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)

        def one(letter: str) -> int:
            if letter == "s":
                return space.switch
            low, high = (2, 57) if letter == "t" else (space.speech_offset, space.eos_speech)
            return int(torch.randint(low, high, (), generator=generator))

        return torch.tensor([[one(letter) for letter in row] for row in rows])

    return write_rows


@pytest.fixture(scope="session")
def ids(model: SmolTolkForCausalLM, write: Callable[..., Tensor]) -> Tensor:
    """Two rows [2, 25] of text and speech, cut differently."""
    return write(model.config.id_space, MIXED, MIXED[::-1])


def _close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert found.shape == expected.shape
    real = expected > -1e30  # elsewhere lies the dtype's minimum: an impossible id
    assert torch.equal(real, found > -1e30)
    difference = torch.where(real, found - expected, 0).abs().max()
    assert difference <= tolerance * torch.where(real, expected, 0).abs().max().clamp(min=1)


@pytest.fixture(scope="session")
def assert_close() -> Callable[..., None]:
    """Same impossible ids, and elsewhere max |difference| <= 1e-5 of the largest value."""
    return _close


@pytest.fixture(scope="session")
def gradients() -> Callable[..., dict[str, Tensor]]:
    """Gradients by name of a forward pass in training mode; parameters without one are left out."""

    def compute(model: SmolTolkForCausalLM, **inputs: Any) -> dict[str, Tensor]:
        model.train().zero_grad()
        model(**inputs).loss.backward()
        found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        model.eval().zero_grad()
        return found

    return compute


def _written(space: IdSpace, *rows: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``written(space, "ttse3e")``: ids and codes of text, a switch, an end of speech and a run of 3 frames.

    ``3.`` is a run that goes on: without the tail of its delay.
    """
    generator = torch.Generator().manual_seed(seed)
    one = [_row(space, row, generator) for row in rows]
    return torch.stack([ids for ids, _ in one]), torch.stack([codes for _, codes in one])


def _row(space: IdSpace, row: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    ids: list[int] = []
    codes: list[list[int]] = []
    silent = [-1] * (space.num_codebooks - 1)
    for letter, number, goes_on in re.findall(r"([a-z])|(\d+)(\.?)", row):
        if number:
            frames = torch.randint(0, space.num_units, (int(number), space.num_codebooks), generator=generator)
            grid = delayed(frames.numpy(), space.delays)[: len(frames) if goes_on else None]
            ids += [space.pad_speech if unit < 0 else space.speech_offset + int(unit) for unit in grid[:, 0]]
            codes += grid[:, 1:].tolist()
        else:
            text = int(torch.randint(2, 57, (), generator=generator))
            ids.append({"t": text, "s": space.switch, "e": space.eos_speech}[letter])
            codes.append(silent)
    return torch.tensor(ids), torch.tensor(codes).view(len(ids), -1)


@pytest.fixture(scope="session")
def written() -> Callable[..., tuple[Tensor, Tensor]]:
    """``written(space, "ttse3e")``: ids and codes of rows of several codebooks."""
    return _written
