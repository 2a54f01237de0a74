"""Training of the unit HiFi-GAN at a size for tests: it learns, it resumes, it keeps voices apart."""

from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer
from smoltolk.speech.units.tokenizer import Units
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_config import SIZES, hifigan_config
from smoltolk.speech.vocoders.hifigan_training import fit_hifigan
from smoltolk.speech.vocoders.training_loop import Keeping

QUICK = {"size": "tiny", "batch": 2, "crop_seconds": 0.2}


class Losses:
    """A bar that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[dict[str, float]] = []

    def advance(self, count: float = 1) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append({name: float(value) for name, value in (one.split(" ") for one in text.split(", "))})


@pytest.fixture(scope="module")
def spoken(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> list[Units]:
    return tokenizer.encode(clear_speech)


def test_a_few_steps_lower_the_losses(
    clear_speech: list[np.ndarray], spoken: list[Units], tokenizer: PhoneUnitTokenizer
) -> None:
    losses = Losses()
    vocoder = fit_hifigan(
        clear_speech, spoken, tokenizer, size="tiny", batch=8, crop_seconds=0.4, steps=23, alone=21,
        learning_rate=2e-3, progress=losses,
    )  # fmt: skip
    first, middle, last = losses.notes
    assert middle["mel"] < 0.7 * first["mel"] and last["durations"] < first["durations"]
    assert "discriminators" not in middle and last["discriminators"] > 0
    sound = vocoder.synthesize(spoken[0].units, spoken[0].durations)
    assert len(sound) == 640 * spoken[0].num_frames and sound.std() > 1e-3
    assert vocoder.predict_durations(spoken[0].units).min() >= 1
    assert not any("parametrizations" in name for name in vocoder.state_dict())


def test_an_interrupted_training_ends_as_one_that_was_not(
    clear_speech: list[np.ndarray],
    spoken: list[Units],
    tokenizer: PhoneUnitTokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fitted(work: Path | None) -> HifiGanVocoder:
        keeping = Keeping(work, save_every=2, sample_every=2)
        return fit_hifigan(clear_speech, spoken, tokenizer, steps=4, alone=1, seed=1, keeping=keeping, **QUICK)

    whole = fitted(None)
    from smoltolk.speech.vocoders import hifigan_training

    step, calls = hifigan_training._step, []

    def killed(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(hifigan_training, "_step", killed)
        fitted(tmp_path)
    torch.rand(3)
    resumed = fitted(tmp_path)
    assert resumed.fingerprint == whole.fingerprint
    assert len(list((tmp_path / "samples" / "step-00000004").glob("*.wav"))) == 4


def test_several_voices_have_names_the_longest_first(
    labelled: list[LabelledSpeech], tokenizer: PhoneUnitTokenizer
) -> None:
    waveforms = [one.waveform for one in labelled[:6]]
    names = ["anna", "bela", "bela", "anna", "bela", "carl"]
    units = tokenizer.encode(waveforms)
    vocoder = fit_hifigan(waveforms, units, tokenizer, speakers=names, steps=1, **QUICK)
    assert vocoder.speakers[0] == "bela" and set(vocoder.speakers) == {"anna", "bela", "carl"}
    one, two = (vocoder.synthesize(units[0].units, units[0].durations, speaker=who) for who in ("anna", "carl"))
    assert not np.array_equal(one, two)
    further = fit_hifigan(waveforms, units, tokenizer, speakers=names, start=vocoder, steps=1, **QUICK)
    assert further.speakers == vocoder.speakers and further.fingerprint != vocoder.fingerprint
    with pytest.raises(InputError, match="'dora'; it has bela"):
        fit_hifigan(waveforms, units, tokenizer, speakers=["dora"] * 6, start=vocoder, steps=1, **QUICK)
    with pytest.raises(InputError, match="6 utterances, 2 speakers"):
        fit_hifigan(waveforms, units, tokenizer, speakers=["a", "b"], steps=1, **QUICK)


def test_sizes_have_names(tokenizer: PhoneUnitTokenizer) -> None:
    with pytest.raises(InputError, match="'huge'"):
        hifigan_config(tokenizer, "huge", 1)
    for size in SIZES:
        config = hifigan_config(tokenizer, size, 2)
        assert config.hop == 640 and config.num_speakers == 2 and config.frame_rate == tokenizer.frame_rate


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_gpu_trains_and_samples(
    precision: str,
    clear_speech: list[np.ndarray],
    spoken: list[Units],
    tokenizer: PhoneUnitTokenizer,
    tmp_path: Path,
) -> None:
    keeping = Keeping(tmp_path, save_every=2, sample_every=2)
    settings = {"steps": 3, "alone": 1, "device": "cuda", "precision": precision, "keeping": keeping, **QUICK}
    vocoder = fit_hifigan(clear_speech, spoken, tokenizer, speakers=["a", "b"] * 4, **settings)
    assert vocoder.device.type == "cpu" and len(list(tmp_path.rglob("*.wav"))) == 8
    here = vocoder.synthesize(spoken[0].units, spoken[0].durations)
    np.testing.assert_allclose(vocoder.to("cuda").synthesize(spoken[0].units, spoken[0].durations), here, atol=1e-2)
