"""Bundles: what they hold, what is refused, and how damage is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.inference.bundle import Bundle, BundleSettings, open_bundle
from smoltolk.inference.bundle_making import make_bundle
from smoltolk.inference.lora import Origin as LoraOrigin
from smoltolk.inference.lora import write_origin
from smoltolk.inference.sampling import Sampling
from smoltolk.inference.speech_text import SpeechText
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.processing import SmolTolkProcessor
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder


def test_it_is_all_that_talking_takes(bundle: Bundle, bundle_parts: Path) -> None:
    talker = SpeechText.from_pretrained(bundle.path, device="cpu")
    parts = SpeechText.load(bundle_parts / "model", bundle_parts / "units", bundle_parts / "vocoder", device="cpu")
    assert talker.settings == BundleSettings(Sampling(0.5, 7), 20, 10) and talker.speakers == ("anna", "bela")
    said, wanted = talker.say("A dog.", seed=3, speaker="bela"), parts.say("A dog.", seed=3, speaker="bela")
    assert np.array_equal(said.waveform, wanted.waveform) and len(said.units)
    assert talker.hear(said) == parts.hear(said)
    assert len(talker.generate("A dog", to="text").text.encode()) <= 3 * 10


def test_model_and_processor_load_by_transformers(bundle: Bundle) -> None:
    model = SmolTolkForCausalLM.from_pretrained(bundle.path)
    processor = SmolTolkProcessor.from_pretrained(bundle.path)
    assert processor.units.fingerprint == model.config.unit_fingerprint == bundle.record["unit_fingerprint"]


def test_what_it_says_of_itself(bundle: Bundle, tmp_path: Path) -> None:
    card = ModelCard.load(bundle.path / "README.md")
    assert card.data.license == "cc0-1.0" and card.data.language == ["en"] and "smoltolk-bundle" in card.data.tags
    text = card.content
    assert "generated stories" in text and "nobody's" in text
    assert "consent of the speakers | not stated by whoever made this bundle" in text
    assert "| storycloze, S->S (mean) | 75.0 | 70.0 to 80.0 | 50 | 400 items |" in text
    assert "anna, bela" in text and "sample.wav" in text and str(bundle.path.parent) not in text
    held = "".join(path.read_text() for path in bundle.path.rglob("*.json"))
    assert "/somewhere/else" not in held  # no place of the machine where it was made
    assert json.loads((bundle.path / "sample.json").read_text())["prompt"] == "Once upon"
    assert open_bundle(bundle.path, whole=True).record == bundle.record


@pytest.mark.parametrize(
    "name", ["model.safetensors", "units/config.json", "vocoder/model.safetensors", "tokenizer.json"]
)
def test_damage_is_named(bundle: Bundle, name: str, tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    for harm in ("missing", "short", "changed"):
        shutil.copytree(bundle.path, place)
        data = (place / name).read_bytes()
        if harm == "missing":
            (place / name).unlink()
        elif harm == "short":
            (place / name).write_bytes(data[:-1])
        else:
            (place / name).write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        with pytest.raises(InputError, match=f"as it was made\n.*{name}"):
            SpeechText.from_pretrained(place)
        shutil.rmtree(place)


def test_a_record_that_makes_no_sense(bundle: Bundle, tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    shutil.copytree(bundle.path, place)
    record = json.loads((place / "bundle.json").read_text())
    for wrong, said in (
        ({"version": 99}, "version 99"),
        ({"files": {"../bundle/config.json": {}}}, "a file named"),
        ({"files": {"/etc/hostname": {}}}, "a file named"),
        ({"files": 3}, "TypeError"),
        ({"version": 2, "files": 3}, "version 2"),  # whatever it holds
        ({"files": {"config.json": {}}}, "bytes, not None"),
        ({"generation": {"sampling": None, "max_units": 0, "max_tokens": 1}}, "an id at least"),
        ({"generation": {}}, "KeyError"),
        (
            {"generation": {"sampling": {"temperature": "hot", "top_k": 1}, "max_units": 1, "max_tokens": 1}},
            "ValueError",
        ),
    ):
        (place / "bundle.json").write_text(json.dumps(record | wrong))
        with pytest.raises(InputError, match=said):
            open_bundle(place)
    for key in ("origin", "speakers", "version"):  # which the card and `bundle info` tell
        (place / "bundle.json").write_text(json.dumps({name: value for name, value in record.items() if name != key}))
        with pytest.raises(InputError, match=f"KeyError: '{key}'"):
            open_bundle(place)
    former = record | {"generation": {"sampling": {"temperature": 1, "top_k": 2}, "max_units": 3, "max_tokens": 4}}
    del former["verdicts"]
    (place / "bundle.json").write_text(json.dumps(former))
    assert open_bundle(place).settings == BundleSettings(Sampling(1.0, 2), 3, 4)
    (place / "bundle.json").write_text("{")
    with pytest.raises(InputError, match="must be JSON"):
        open_bundle(place)
    (place / "bundle.json").unlink()
    with pytest.raises(InputError, match=r"a bundle holds a bundle.json"):
        open_bundle(place)
    with pytest.raises(NotFoundError):
        open_bundle(tmp_path / "none" / "there")


def test_parts_of_other_units_are_refused(bundle_parts: Path, tmp_path: Path) -> None:
    GriffinLimVocoder(12, 25.0, "f" * 64, width=8).save(tmp_path / "other")
    with pytest.raises(InputError, match="units that it was trained with"):
        make_bundle(bundle_parts / "model", bundle_parts / "units", tmp_path / "other", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".tmp*"))


def test_it_appears_whole_or_not_at_all(bundle_parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = (bundle_parts / "model", bundle_parts / "units", bundle_parts / "vocoder")
    monkeypatch.setattr("smoltolk.inference.bundle_making.bundle_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_bundle(*made, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(InputError, match="holds something else"):
        make_bundle(*made, tmp_path / "out")
    (tmp_path / "results.json").write_text('{"weather": "fine"}')
    with pytest.raises(InputError, match="figures of a card"):
        make_bundle(*made, tmp_path / "new", results=[tmp_path / "results.json"])
    assert not (tmp_path / "new").exists()


def test_a_lora_goes_into_the_weights(
    bundle_parts: Path, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft", reason="the extra 'lora'")
    plain = SmolTolkForCausalLM.from_pretrained(bundle_parts / "model")
    made = peft.get_peft_model(plain, peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    made.save_pretrained(tmp_path / "lora")
    write_origin(tmp_path / "lora", LoraOrigin(str(bundle_parts / "model")), made)
    byte_tokenizer.save_pretrained(tmp_path / "lora")
    parts = (bundle_parts / "units", bundle_parts / "vocoder")
    place = make_bundle(tmp_path / "lora", *parts, tmp_path / "out", settings=BundleSettings(tuned=True)).path
    held = SmolTolkForCausalLM.from_pretrained(place).state_dict()
    former = SmolTolkForCausalLM.from_pretrained(bundle_parts / "model").state_dict()
    assert {name.split(".")[-2] for name, value in held.items() if not value.equal(former[name])} == {"q_proj"}
    assert "to talk with" in (place / "README.md").read_text()
    open_bundle(place, whole=True)


def test_links_share_what_is_large(bundle_parts: Path, tmp_path: Path) -> None:
    place = make_bundle(
        bundle_parts / "model", bundle_parts / "units", bundle_parts / "vocoder", tmp_path / "out", link=True
    ).path
    weights = bundle_parts / "model" / "model.safetensors"
    assert (place / "model.safetensors").samefile(weights) or weights.stat().st_dev != place.stat().st_dev
    assert not (place / "config.json").samefile(bundle_parts / "model" / "config.json")
    again = make_bundle(bundle_parts / "model", bundle_parts / "units", bundle_parts / "vocoder", tmp_path / "out")
    assert not (again.path / "model.safetensors").samefile(weights)


def test_a_codec_hears_and_speaks(
    codec: CodecUnitTokenizer, codec_model: SmolTolkForCausalLM, byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    codec.save(tmp_path / "codec")
    codec_model.save_pretrained(tmp_path / "model")
    byte_tokenizer.save_pretrained(tmp_path / "model")
    for number, vocoder in enumerate((None, tmp_path / "codec")):
        made = make_bundle(tmp_path / "model", tmp_path / "codec", vocoder, tmp_path / f"out{number}")
        assert made.vocoder is None and made.record["vocoder"] == made.record["units"]
    talker = SpeechText.from_pretrained(made.path, device="cpu")
    answer = talker.generate("A dog", max_new=4)
    assert answer.speech.units.shape == (4, 8) and answer.speech.seconds == pytest.approx(4 / 12.5)
    pieces = list(talker.generate("A dog", max_new=4, stream=True))
    assert np.array_equal(np.concatenate([one.units for one in pieces if len(one.units)]), answer.speech.units)
    assert sum(len(one.waveform) for one in pieces) == len(answer.speech.waveform)


def test_a_device_that_is_not_there(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="a device must be there"):
        SpeechText.from_pretrained(bundle.path, device="abacus")


def test_settings_there_and_back() -> None:
    for settings in (BundleSettings(), BundleSettings(None, 3, 4, True), BundleSettings(Sampling(2.0, 0))):
        assert BundleSettings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings
