"""A small model that hears real speech, and a bundle of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.inference.bundle_making import make_bundle
from smoltolk.inference.speech_text import SpeechText
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.audio import load, save
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder


@pytest.fixture(scope="package")
def parts(
    phone_units_dir: Path, byte_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory with ``late``, ``early`` (models of two layers), ``units`` and ``vocoder``. Read only."""
    place = tmp_path_factory.mktemp("demo")
    units = load_unit_tokenizer(phone_units_dir)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    early = {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False}
    for name, settings in (("late", {}), ("early", early)):
        torch.manual_seed(0)
        text_model = LlamaForCausalLM(LlamaConfig(vocab_size=257, eos_token_id=0, **sizes))
        model = SmolTolkForCausalLM.from_text_model(
            text_model, num_units=units.num_units, unit_fingerprint=units.fingerprint, **settings
        )
        model.save_pretrained(place / name)
        byte_tokenizer.save_pretrained(place / name)
    units.save(place / "units")
    GriffinLimVocoder(units.num_units, units.frame_rate, units.fingerprint, width=8).save(place / "vocoder")
    return place


@pytest.fixture(scope="package")
def bundles(parts: Path) -> list[Path]:
    """Two bundles, late and early. Read only."""
    made = [parts / "bundles" / name for name in ("late", "early")]
    for out in made:
        make_bundle(parts / out.name, parts / "units", parts / "vocoder", out)
    return made


@pytest.fixture(scope="package")
def talker(bundles: list[Path]) -> SpeechText:
    return SpeechText.from_pretrained(bundles[0], device="cpu")


@pytest.fixture(scope="package")
def recording(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A spoken story, and what it says."""
    spoken = next(read_corpus(spoken_corpus))
    assert spoken.audio is not None
    path = tmp_path_factory.mktemp("recording") / "story.wav"
    save(path, load(spoken.audio))
    return path, spoken.text
