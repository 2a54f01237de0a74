"""The processor of a model of several codebooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.processing import SmolTolkProcessor
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer

Q = 3


class Codec(UnitTokenizer):
    """A frame of three units for every ten samples."""

    sample_rate, frame_rate, num_units, num_codebooks = 100, 10.0, 12, Q
    fingerprint = "ab" * 32

    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        loud = [(11 * np.abs(one[: len(one) // 10 * 10]).reshape(-1, 10).mean(1)).astype(np.int64) for one in waveforms]
        return [Units(np.stack([one, 11 - one, one // 2], axis=1), np.ones(len(one), np.int64)) for one in loud]

    def save(self, directory: Path | str) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def model() -> SmolTolkForCausalLM:
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12, num_codebooks=Q).eval()


@pytest.fixture(scope="module")
def processor(byte_tokenizer: PreTrainedTokenizerFast, model: SmolTolkForCausalLM) -> SmolTolkProcessor:
    return SmolTolkProcessor(byte_tokenizer, model.config.id_space, Codec())


def frames(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 12, (number, Q))


def test_what_goes_in_comes_out(processor: SmolTolkProcessor) -> None:
    prompts = [["Say it: ", frames(4), "again"], ["a", frames(2, 1), "b", frames(5, 2)], "text alone"]
    batch = processor(prompts)
    assert batch["codes"].shape == (3, batch["input_ids"].shape[1] + 2, Q - 1)  # the second prompt owes two positions
    length = batch["input_ids"].shape[1]
    first, second, third = processor.batch_split(batch["input_ids"], batch["codes"][:, :length])
    assert [one.text for one in first] == ["Say it: ", None, "again"]
    assert np.array_equal(first[1].units, frames(4)) and np.array_equal(second[1].units, frames(2, 1))
    assert np.array_equal(second[3].units[:, 0], frames(5, 2)[:, 0])
    assert second[3].units[-1].tolist() == [frames(5, 2)[4, 0], -1, -1]  # known, but yet to be said
    assert [one.text for one in third] == ["text alone"]
    assert processor.split(batch["input_ids"][0])[1].units.tolist() == frames(4)[:, 0].tolist()
    assert processor.decode(batch["input_ids"][0]).startswith("Say it: [")


def test_recordings_become_frames(processor: SmolTolkProcessor) -> None:
    waveform = np.linspace(-1, 1, 55, dtype=np.float32)
    batch = processor.recognition([waveform])
    (segment,) = processor.split(batch["input_ids"][0], batch["codes"][0])
    assert np.array_equal(segment.units, Codec().encode([waveform])[0].units)


@pytest.mark.parametrize("modality", ["speech", "text"])
def test_generate_continues_a_batch(modality: str, processor: SmolTolkProcessor, model: SmolTolkForCausalLM) -> None:
    batch = processor([["Once", frames(3)], "upon a time", ["so", frames(6), "there"]], continue_in=modality)
    made = model.generate(
        **batch, **generation_settings(model.config, modality), do_sample=True, return_dict_in_generate=True,
        max_new_tokens=300 if modality == "speech" else 20,
    )  # fmt: skip
    length = batch["input_ids"].shape[1]
    for row, codes in zip(made.sequences, made.codes, strict=True):
        segments = processor.split(row, codes)
        assert segments[-1].modality == modality or (row[length:] == model.config.eos_text_id).all()
        assert all((one.units >= 0).all() for one in segments if one.units is not None)


def test_to_disk_and_back(processor: SmolTolkProcessor, tmp_path: Path) -> None:
    alone = SmolTolkProcessor(processor.tokenizer, processor.space)
    alone.save_pretrained(tmp_path)
    assert AutoProcessor.from_pretrained(tmp_path).space == processor.space


@pytest.mark.parametrize("units", [np.arange(4), np.zeros((4, 2), int), np.zeros((0, 3), int), np.zeros((4, 3))])
def test_units_that_are_no_frames(units: np.ndarray, processor: SmolTolkProcessor) -> None:
    with pytest.raises(InputError, match=r"units \(integers \[n, 3\]\)"):
        processor([units])


def test_a_tokenizer_of_other_codebooks(byte_tokenizer: PreTrainedTokenizerFast, processor: SmolTolkProcessor) -> None:
    class Other(Codec):
        num_codebooks = 2

    with pytest.raises(InputError, match=r"a tokenizer of 2 x 12 units .*, a model of 3 x 12"):
        SmolTolkProcessor(byte_tokenizer, processor.space, Other())
