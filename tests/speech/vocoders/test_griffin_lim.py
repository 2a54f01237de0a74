import json
from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech import features
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer, fit_phone_units
from smoltolk.speech.units.tokenizer import Units
from smoltolk.speech.vocoders import griffin_lim_training, training_loop
from smoltolk.speech.vocoders.kinds import GriffinLimVocoder, Vocoder, fit_vocoder, load_vocoder
from smoltolk.speech.vocoders.training_loop import Keeping


@pytest.fixture(scope="module")
def spoken(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> list[Units]:
    return tokenizer.encode(clear_speech)


def mel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference in nats where the first is audible."""
    size = min(len(first), len(second)) // 160
    a, b = (features.log_mel(torch.from_numpy(x)[None], size)[0] for x in (first, second))
    return float((a - b).abs()[a > a.max() - 5].mean())


def test_given_durations_decide_the_length(vocoder: Vocoder, spoken: list[Units]) -> None:
    sound = vocoder.synthesize(spoken[0].units, spoken[0].durations)
    assert sound.dtype == np.float32 and sound.shape == (640 * spoken[0].num_frames,)
    assert np.abs(sound).max() <= 1
    assert len(vocoder.synthesize(spoken[0].units, 2 * spoken[0].durations)) == 2 * len(sound)


def test_own_durations_are_whole_and_about_right(vocoder: Vocoder, spoken: list[Units]) -> None:
    for one in spoken[:3]:
        durations = vocoder.predict_durations(one.units)
        assert durations.dtype == np.int64 and durations.shape == one.units.shape
        assert durations.min() >= 1
        assert 0.7 < durations.sum() / one.num_frames < 1.4
        assert len(vocoder.synthesize(one.units)) == 640 * durations.sum()


def test_it_says_what_it_was_taught(vocoder: Vocoder, clear_speech: list[np.ndarray], spoken: list[Units]) -> None:
    right = mel_distance(clear_speech[0], vocoder.synthesize(spoken[0].units, spoken[0].durations))
    other = vocoder.synthesize(spoken[1].units, spoken[1].durations)
    assert right < 0.8
    assert right < 0.6 * mel_distance(clear_speech[0], other)


def test_copy_synthesis_is_closer_still(vocoder: Vocoder, clear_speech: list[np.ndarray], spoken: list[Units]) -> None:
    copy = vocoder.copy_synthesis(clear_speech[0])
    assert len(copy) == len(clear_speech[0])
    made = vocoder.synthesize(spoken[0].units, spoken[0].durations)
    assert mel_distance(clear_speech[0], copy) < min(0.25, mel_distance(clear_speech[0], made))


def test_same_seed_same_samples_alone_or_in_a_batch(vocoder: Vocoder, spoken: list[Units]) -> None:
    units, durations = [one.units for one in spoken[:3]], [one.durations for one in spoken[:3]]
    batch = vocoder.synthesize_batch(units, durations, seed=5)
    for index in (2, 0):
        np.testing.assert_array_equal(vocoder.synthesize(units[index], durations[index], seed=5), batch[index])
    assert not np.array_equal(vocoder.synthesize(units[0], durations[0], seed=6), batch[0])
    assert len(vocoder.synthesize_batch(units)) == 3
    assert vocoder.synthesize_batch([]) == []


def test_a_saved_vocoder_says_the_same(vocoder: Vocoder, spoken: list[Units], tmp_path: Path) -> None:
    vocoder.save(tmp_path / "vocoder")
    loaded = load_vocoder(tmp_path / "vocoder", vocoder.unit_fingerprint)
    assert loaded.fingerprint == vocoder.fingerprint
    assert loaded.sample_rate == 16_000
    np.testing.assert_array_equal(loaded.synthesize(spoken[0].units), vocoder.synthesize(spoken[0].units))


def test_units_of_another_tokenizer_are_refused(
    vocoder: Vocoder, tokenizer: PhoneUnitTokenizer, labelled: list[LabelledSpeech], tmp_path: Path
) -> None:
    vocoder.check_units_of(tokenizer)
    other = fit_phone_units(labelled[:4], steps=1, seed=9)
    with pytest.raises(InputError, match="one tokenizer only"):
        vocoder.check_units_of(other)
    vocoder.save(tmp_path / "vocoder")
    with pytest.raises(InputError, match=other.fingerprint[:16]):
        load_vocoder(tmp_path / "vocoder", other.fingerprint)


def test_what_is_no_vocoder_is_refused(vocoder: Vocoder, tokenizer: PhoneUnitTokenizer, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_vocoder(tmp_path / "nothing")
    tokenizer.save(tmp_path / "units")
    with pytest.raises(InputError, match="kind 'phone'"):
        load_vocoder(tmp_path / "units")
    vocoder.save(tmp_path / "vocoder")
    config_path = tmp_path / "vocoder" / "config.json"
    config_path.write_text(json.dumps(json.loads(config_path.read_text()) | {"frame_rate": 50.0}))
    with pytest.raises(InputError):
        load_vocoder(tmp_path / "vocoder")


@pytest.mark.parametrize(
    ("units", "durations", "message"),
    [
        ([], None, "one or more whole numbers"),
        ([1.5], None, "one or more whole numbers"),
        ([[1, 2]], None, "one or more whole numbers"),
        ([0, 41], None, "0 .. 40"),
        ([-1, 3], None, "0 .. 40"),
        ([1, 2], [1], "at least one for each unit"),
        ([1, 2], [1, 0], "at least one for each unit"),
        ([1, 2], [1.0, 2.0], "at least one for each unit"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    vocoder: Vocoder, units: list[float], durations: list[float] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        vocoder.synthesize(np.array(units), None if durations is None else np.array(durations))


def test_a_batch_needs_durations_for_all_or_none(vocoder: Vocoder) -> None:
    with pytest.raises(InputError, match="1 and 2"):
        vocoder.synthesize_batch([np.array([1])], [np.array([1]), np.array([2])])


def test_training_is_a_function_of_data_and_seed(
    clear_speech: list[np.ndarray], spoken: list[Units], tokenizer: PhoneUnitTokenizer
) -> None:
    first = fit_vocoder(clear_speech[:2], spoken[:2], tokenizer, steps=2, seed=1)
    torch.rand(5)
    assert fit_vocoder(clear_speech[:2], spoken[:2], tokenizer, steps=2, seed=1).fingerprint == first.fingerprint
    assert first.unit_fingerprint == tokenizer.fingerprint


def test_an_interrupted_training_ends_as_one_that_was_not(
    clear_speech: list[np.ndarray],
    spoken: list[Units],
    tokenizer: PhoneUnitTokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fitted(work: Path | None) -> GriffinLimVocoder:
        keeping = Keeping(work, save_every=2, sample_every=2)
        return fit_vocoder(clear_speech[:3], spoken[:3], tokenizer, steps=4, seed=1, keeping=keeping)

    whole, descended = fitted(None), list[float]()

    def killed(optimizer: torch.optim.Optimizer, loss: torch.Tensor, rate: float) -> None:
        descended.append(rate)
        if len(descended) == 4:
            raise KeyboardInterrupt
        training_loop.descend(optimizer, loss, rate)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(griffin_lim_training, "descend", killed)
        fitted(tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000002"]
    assert fitted(tmp_path).fingerprint == whole.fingerprint
    assert {path.name for path in (tmp_path / "samples" / "step-00000004").iterdir()} == {"0.wav", "1.wav"}


def test_training_says_what_it_needs(
    clear_speech: list[np.ndarray], spoken: list[Units], tokenizer: PhoneUnitTokenizer
) -> None:
    with pytest.raises(InputError, match="0 utterances"):
        fit_vocoder([], [], tokenizer)
    with pytest.raises(InputError, match="2 utterances, 1 units"):
        fit_vocoder(clear_speech[:2], spoken[:1], tokenizer)
    with pytest.raises(InputError, match="those of their utterance"):
        fit_vocoder([clear_speech[0][:8000]], spoken[:1], tokenizer, steps=1)


def test_frame_rates_that_do_not_divide_the_hops_are_refused() -> None:
    assert GriffinLimVocoder(10, 50.0, "0" * 64).mel_network.hops_per_frame == 2
    with pytest.raises(InputError, match="whole number of hops") as caught:
        GriffinLimVocoder(10, 30.0, "0" * 64)
    assert "30.0" in caught.value.found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_and_speaks(
    clear_speech: list[np.ndarray], spoken: list[Units], tokenizer: PhoneUnitTokenizer, tmp_path: Path
) -> None:
    keeping = Keeping(tmp_path, save_every=2, sample_every=2)
    vocoder = fit_vocoder(clear_speech, spoken, tokenizer, steps=3, device="cuda", keeping=keeping)
    here = vocoder.synthesize(spoken[0].units, spoken[0].durations)
    np.testing.assert_allclose(vocoder.to("cuda").synthesize(spoken[0].units, spoken[0].durations), here, atol=1e-2)
