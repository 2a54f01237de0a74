"""Prompts in, segments out, to disk and hub and back."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.processing import Segment, SmolTolkProcessor
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer


class EnergyUnits(UnitTokenizer):
    """One unit for every ten samples: how loud they are."""

    sample_rate, frame_rate, num_units, num_codebooks = 100, 10.0, 12, 1
    fingerprint = "ab" * 32

    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        frames = [np.abs(one[: len(one) // 10 * 10]).reshape(-1, 10).mean(1) for one in waveforms]
        return [Units((11 * one).astype(np.int64), np.ones(len(one), np.int64)) for one in frames]

    def save(self, directory: Path | str) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def model() -> SmolTolkForCausalLM:
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12).eval()


@pytest.fixture(scope="module")
def processor(byte_tokenizer: PreTrainedTokenizerFast, model: SmolTolkForCausalLM) -> SmolTolkProcessor:
    return SmolTolkProcessor(byte_tokenizer, model.config.id_space, EnergyUnits())


def tokens(processor: SmolTolkProcessor, text: str) -> list[int]:
    return processor.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_batch_of_every_kind(processor: SmolTolkProcessor) -> None:
    space, spoken = processor.space, np.array([3, 1, 4])
    loud = np.repeat(np.float32([0.5, 1.0]), 10)
    batch = processor(["Hi", spoken, ["Say ", [5, 6], " it"], loud, torch.tensor([7, 8])])
    expected = [
        mixed_prompt(space, [(False, tokens(processor, "Hi"))]),
        mixed_prompt(space, [(True, spoken)]),
        mixed_prompt(space, [(False, tokens(processor, "Say ")), (True, [5, 6]), (False, tokens(processor, " it"))]),
        mixed_prompt(space, [(True, [5, 11])]),
        mixed_prompt(space, [(True, [7, 8])]),
    ]
    for row, mask, document in zip(batch["input_ids"], batch["attention_mask"], expected, strict=True):
        assert row[mask.bool()].tolist() == document.input_ids.tolist()
        assert mask.diff().min() >= 0 and (row[~mask.bool()] == space.eos_text).all()  # padded on the left, with text
    switches = (batch["input_ids"][2] == space.switch).nonzero().flatten()
    assert len(switches) == 2


def test_one_segment_is_a_batch_of_one(processor: SmolTolkProcessor) -> None:
    for one in ("Hi", [3, 1, 4], np.array([3]), np.ones(10, np.float32)):
        assert torch.equal(processor(one)["input_ids"], processor([one])["input_ids"])


def test_how_it_is_continued(processor: SmolTolkProcessor) -> None:
    space = processor.space
    for prompt, modality, switched in (("Hi", "speech", True), ("Hi", "text", False), ([3], "text", True)):
        last = processor(prompt, continue_in=modality)["input_ids"][0, -1]
        assert (last == space.switch) == switched


def test_prompts_of_the_tasks(processor: SmolTolkProcessor) -> None:
    space = processor.space
    heard = processor.recognition([np.array([3, 1, 4]), np.ones(20, np.float32)])
    assert heard["input_ids"][0].tolist() == recognition_prompt(space, [3, 1, 4]).input_ids.tolist()
    assert heard["input_ids"][1][heard["attention_mask"][1].bool()].tolist() == (
        recognition_prompt(space, [11, 11]).input_ids.tolist()
    )
    read = processor.synthesis("Hi")
    assert read["input_ids"][0].tolist() == synthesis_prompt(space, tokens(processor, "Hi")).input_ids.tolist()


def test_recordings_of_another_rate(processor: SmolTolkProcessor) -> None:
    batch = processor(np.full(80, 0.5, np.float32), sample_rate=400)  # 0.2 s, two frames
    assert batch["input_ids"].shape[1] == 3


def test_generation_and_back(processor: SmolTolkProcessor, model: SmolTolkForCausalLM) -> None:
    batch = processor(["Hi ", ["Say ", [5, 6]]])
    made = model.generate(**batch, **generation_settings(model.config, "speech"), do_sample=False, max_new_tokens=5)
    rows = processor.batch_split(made)
    assert [segment.modality for segment in rows[0]] == ["text", "speech"]
    assert [segment.modality for segment in rows[1]] == ["text", "speech"]
    assert rows[0][0] == Segment("text", text="Hi ")
    assert rows[1][1].units[:2].tolist() == [5, 6] and rows[1][1].text is None
    assert rows[1][1].units.max() < 12


def test_what_ids_say(processor: SmolTolkProcessor) -> None:
    (ids,) = processor([["Say ", [5, 6], " it"]])["input_ids"]
    assert processor.decode(ids) == "Say [5 6] it"
    assert processor.batch_decode(torch.stack([ids, ids])) == ["Say [5 6] it"] * 2
    assert [segment.modality for segment in processor.split(ids.tolist())] == ["text", "speech", "text"]
    assert processor.split([]) == []


def test_saved_and_loaded(processor: SmolTolkProcessor, tmp_path: Path) -> None:
    SmolTolkProcessor(processor.tokenizer, processor.space, unit_fingerprint="ab" * 32).save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is SmolTolkProcessor
    assert loaded.space == processor.space and loaded.units is None and loaded.unit_fingerprint == "ab" * 32
    assert torch.equal(loaded("Hi")["input_ids"], processor("Hi")["input_ids"])
    assert AutoTokenizer.from_pretrained(tmp_path).eos_token == "<eos>"
    heard = SmolTolkProcessor.from_pretrained(tmp_path, units=EnergyUnits())
    assert heard(np.ones(10, np.float32))["input_ids"].tolist() == processor([11])["input_ids"].tolist()


def test_a_model_that_was_saved_with_its_tokenizer_alone(
    processor: SmolTolkProcessor, model: SmolTolkForCausalLM, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    processor.tokenizer.save_pretrained(tmp_path)
    for loaded in (AutoProcessor.from_pretrained(tmp_path), SmolTolkProcessor.from_pretrained(tmp_path)):
        assert type(loaded) is SmolTolkProcessor and loaded.space == model.config.id_space


def test_a_processor_from_before_ids_moved(
    processor: SmolTolkProcessor, model: SmolTolkForCausalLM, tmp_path: Path
) -> None:
    """Beside its model it is made anew; alone it is refused, with what to do."""
    SmolTolkProcessor(processor.tokenizer, processor.space).save_pretrained(tmp_path)
    described = json.loads((tmp_path / "processor_config.json").read_text())
    described["ids"] = described.pop("space") | {"switch": 300, "num_text_ids": None}
    (tmp_path / "processor_config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="lies beside its model"):
        SmolTolkProcessor.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert SmolTolkProcessor.from_pretrained(tmp_path).space == model.config.id_space


def test_words_added_to_the_tokenizer(
    model: SmolTolkForCausalLM, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """They would be spare rows, control ids or units: whatever makes a processor refuses them."""
    longer = copy.deepcopy(byte_tokenizer)
    longer.add_tokens(["<song>"])
    with pytest.raises(InputError, match="258 ids in the tokenizer, 257 in the text model"):
        SmolTolkProcessor(longer, model.config.id_space)
    model.save_pretrained(tmp_path)
    longer.save_pretrained(tmp_path)
    for kind in (SmolTolkProcessor, AutoProcessor):
        with pytest.raises(InputError, match="258 ids in the tokenizer"):
            kind.from_pretrained(tmp_path)
    SmolTolkProcessor(byte_tokenizer, model.config.id_space).save_pretrained(tmp_path / "saved")
    longer.save_pretrained(tmp_path / "saved")
    with pytest.raises(InputError, match="258 ids in the tokenizer"):
        AutoProcessor.from_pretrained(tmp_path / "saved")


def test_the_unit_tokenizer_comes_along(processor: SmolTolkProcessor, phone_units_dir: Path, tmp_path: Path) -> None:
    units = load_unit_tokenizer(phone_units_dir)
    space = dataclasses.replace(processor.space, num_units=units.num_units)
    SmolTolkProcessor(processor.tokenizer, space, phone_units_dir).save_pretrained(tmp_path / "ours")
    loaded = AutoProcessor.from_pretrained(tmp_path / "ours")
    assert loaded.units.fingerprint == units.fingerprint
    waveform = np.sin(np.arange(8000, dtype=np.float32))
    assert (
        loaded.split(loaded(waveform)["input_ids"][0])[0].units.tolist() == units.encode([waveform])[0].units.tolist()
    )


def test_several_codebooks(byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12, num_codebooks=3).eval()
    SmolTolkProcessor(byte_tokenizer, model.config.id_space).save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert processor.space == model.config.id_space
    frames = np.arange(12).reshape(4, 3)
    batch = processor([["Say ", frames], ["Hi ", frames[:2], " it"], frames[:1]], continue_in="speech")
    made = model.generate(
        **batch, **generation_settings(model.config, "speech"), do_sample=False, min_new_tokens=6, max_new_tokens=8,
        return_dict_in_generate=True,
    )  # fmt: skip
    rows = processor.batch_split(made.sequences, made.codes)
    assert [segment.modality for segment in rows[1]] == ["text", "speech", "text", "speech"]
    assert rows[0][1].units[:4].tolist() == frames.tolist() and len(rows[0][1].units) > 4
    assert rows[1][1].units.tolist() == frames[:2].tolist()
    assert rows[2][0].units[:1].tolist() == frames[:1].tolist()
    with pytest.raises(InputError, match=r"integers \[n, 3\]"):
        processor([np.array([1, 2, 3])])
    with pytest.raises(InputError, match=r"12 units .*, a model of 3 x 12"):
        SmolTolkProcessor(byte_tokenizer, model.config.id_space, EnergyUnits())


def test_pushed(processor: SmolTolkProcessor, phone_units_dir: Path, hub: dict[str, Any]) -> None:
    units = load_unit_tokenizer(phone_units_dir)
    space = dataclasses.replace(processor.space, num_units=units.num_units)
    SmolTolkProcessor(processor.tokenizer, space, units).push_to_hub("talker")
    assert {"processor_config.json", "tokenizer.json", "units/config.json", "units/model.safetensors"} <= set(hub)


@pytest.mark.parametrize(
    ("prompts", "settings", "message"),
    [
        ([], {}, "a prompt at least"),
        ([""], {}, "something in it"),
        ([[]], {}, "a segment at least"),
        ([["Hi", np.zeros(0, np.int64)]], {}, "not empty"),
        ([None], {}, "NoneType"),
        ([[3, 12]], {}, "units must be 0 .. 11"),
        ([np.array([-1])], {}, "units must be 0 .. 11"),
        (np.zeros((2, 10), np.float32), {}, "mix the channels"),
        ("Hi", {"continue_in": "song"}, "'song'"),
    ],
)
def test_bad_prompts(prompts: object, settings: dict, message: str, processor: SmolTolkProcessor) -> None:
    with pytest.raises(InputError, match=message):
        processor(prompts, **settings)


def test_mistakes(processor: SmolTolkProcessor, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    deaf = SmolTolkProcessor(byte_tokenizer, processor.space)
    with pytest.raises(InputError, match="none in this processor"):
        deaf(np.ones(10, np.float32))
    with pytest.raises(InputError, match="made of speech"):
        deaf.recognition("Hi")
    with pytest.raises(InputError, match="made of text"):
        deaf.synthesis([np.array([3])])
    with pytest.raises(InputError, match="where text and speech ids lie"):
        SmolTolkProcessor(byte_tokenizer)
    with pytest.raises(InputError, match="the units that it was trained with"):
        SmolTolkProcessor(byte_tokenizer, processor.space, EnergyUnits(), unit_fingerprint="cd" * 32)
    with pytest.raises(NotFoundError):
        SmolTolkProcessor(byte_tokenizer, processor.space, tmp_path / "nothing")
    with pytest.raises(InputError, match="batch_split"):
        deaf.split(torch.zeros(2, 3, dtype=torch.long))


def test_names_of_special_tokens_are_text(processor: SmolTolkProcessor) -> None:
    assert tokens(processor, "<eos>") == [0]
    batch = processor.synthesis("<eos> the <switch>")
    ids = batch["input_ids"][0].tolist()
    assert ids.count(0) == processor.synthesis("the")["input_ids"][0].tolist().count(0)
    assert processor.split(batch["input_ids"][0])[0].text == "<eos> the <switch>"
