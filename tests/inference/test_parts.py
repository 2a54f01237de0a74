"""Model, units and vocoder: found together, or refused before anything large is loaded."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.inference.part_files import Part, check_part, read_part, was_tuned
from smoltolk.inference.parts import load_config, load_model, load_parts
from smoltolk.inference.speakers import CodecSpeaker
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer


@pytest.fixture(scope="module")
def place(
    codec: CodecUnitTokenizer,
    codec_model: SmolTolkForCausalLM,
    byte_tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A model, its codec, another codec, and one of a single codebook. Read only."""
    place = tmp_path_factory.mktemp("parts")
    codec_model.save_pretrained(place / "model")
    byte_tokenizer.save_pretrained(place / "model")
    codec.save(place / "codec")
    CodecUnitTokenizer(codec.model, 8, window_seconds=20.0).save(place / "other")
    CodecUnitTokenizer(codec.model, 7).save(place / "seven")
    CodecUnitTokenizer(codec.model, 1).save(place / "single")
    return place


@pytest.fixture
def hollow(place: Path, tmp_path: Path) -> Path:
    """The same without any weights: whoever tries to load them fails in another way."""
    for folder in place.iterdir():
        (tmp_path / folder.name).mkdir()
        for file in folder.iterdir():
            if file.suffix != ".safetensors":
                (tmp_path / folder.name / file.name).write_bytes(file.read_bytes())
    for kind, known in (("griffinlim", {"num_units": 2048}), ("hifigan", {})):
        described = {"kind": kind, "unit_fingerprint": "cd" * 32, "fingerprint": "ef" * 32, **known}
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "config.json").write_text(json.dumps(described))
    return tmp_path


def test_a_codec_is_named_once_or_twice(place: Path) -> None:
    codec, model = place / "codec", place / "model"
    for units, vocoder in ((codec, None), (None, codec), (codec, codec)):
        loaded, tokenizer, hears, speaks = load_parts(model, units, vocoder)
        assert isinstance(loaded, SmolTolkForCausalLM) and len(tokenizer) == 257
        assert isinstance(speaks, CodecSpeaker) and (hears is None) == (units is None)
        assert hears is None or speaks.codec is hears  # loaded once
    assert load_parts(model, None, None)[2:] == (None, None)


@pytest.mark.parametrize(
    ("units", "vocoder", "message"),
    [
        ("other", None, r"units: 8 x 2,048 units \(\w{16}\), model: 8 x 2,048 \(\w{16}\)"),
        (None, "other", "vocoder: 8 x 2,048 units"),
        ("seven", None, "units: 7 x 2,048 units"),
        ("single", None, "units: 2,048 units"),
        ("codec", "griffinlim", r"vocoder: 2,048 units \(cdcdcdcdcdcdcdcd\), .* spoken by their codec"),
        (None, "hifigan", r"vocoder: \? units"),
    ],
)
def test_other_units_are_refused_first(units: str | None, vocoder: str | None, message: str, hollow: Path) -> None:
    given = [None if name is None else hollow / name for name in (units, vocoder)]
    with pytest.raises(InputError, match=f"(?s)units that it was trained with.*{message}"):
        load_parts(hollow / "model", *given)


def test_a_model_that_does_not_know_its_units(hollow: Path, codec: CodecUnitTokenizer) -> None:
    """Then numbers must do, and two parts must still be for the same units."""
    described = json.loads((hollow / "model" / "config.json").read_text()) | {"unit_fingerprint": None}
    (hollow / "model" / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="units of one tokenizer only"):
        load_parts(hollow / "model", hollow / "codec", hollow / "other")
    with pytest.raises(InputError, match="units: 7 x 2,048"):
        load_parts(hollow / "model", hollow / "seven", None)
    (hollow / "model" / "training.json").write_text(json.dumps({"units": {"fingerprint": codec.fingerprint}}))
    with pytest.raises(InputError, match=rf"model: 8 x 2,048 \({codec.fingerprint[:16]}"):
        load_parts(hollow / "model", hollow / "other", None)


def test_a_codec_of_one_codebook_is_no_vocoder(hollow: Path) -> None:
    described = json.loads((hollow / "model" / "config.json").read_text())
    described |= {"unit_fingerprint": None, "num_codebooks": 1, "codebook_delays": None}
    (hollow / "model" / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="single with one codebook"):
        load_parts(hollow / "model", None, hollow / "single")


def test_what_a_directory_says_of_itself(place: Path, phone_units_dir: Path, tmp_path: Path) -> None:
    units = load_unit_tokenizer(phone_units_dir)
    assert read_part(phone_units_dir) == Part(units.fingerprint, units.num_units)
    codec = load_unit_tokenizer(place / "codec")
    assert read_part(place / "codec") == Part(codec.fingerprint, 2048, 8, is_codec=True)
    (tmp_path / "config.json").write_text("[]")
    assert read_part(tmp_path) is None
    with pytest.raises(NotFoundError):
        read_part(tmp_path / "nothing")
    config = load_config(place / "model")
    check_part(place / "model", config, "shards", Part(codec.fingerprint, 2048, 8))
    with pytest.raises(InputError, match="shards: 8 x 500"):
        check_part(place / "model", config, "shards", Part(codec.fingerprint, 500, 8))


def test_models_that_are_none(place: Path, tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(InputError, match=r"config.json|model of type None"):
        load_model(place)
    with pytest.raises(NotFoundError):
        load_model(tmp_path / "nothing")


def test_words_added_to_the_tokenizer(hollow: Path, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    longer: Any = copy.deepcopy(byte_tokenizer)
    longer.add_tokens(["<song>"])
    longer.save_pretrained(hollow / "model")
    with pytest.raises(InputError, match="tokenizer"):  # before the weights, which are not there
        load_model(hollow / "model")


@pytest.mark.parametrize(
    ("stages", "tuned"),
    [(["stage1", "stage2"], False), (["stage2", "tune", "prefer"], True), (["tune", "more"], False)],
)
def test_what_was_learned_last_decides_how_turns_are_asked(stages: list[str], tuned: bool, tmp_path: Path) -> None:
    assert not was_tuned(tmp_path)
    (tmp_path / "training.json").write_text(json.dumps({"history": [{"stage": stage} for stage in stages]}))
    assert was_tuned(tmp_path) is tuned
