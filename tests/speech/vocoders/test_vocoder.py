"""Kinds of vocoders behind one class and one loader."""

import json
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.vocoders.hifigan_config import HifiGanConfig
from smoltolk.speech.vocoders.kinds import KINDS, GriffinLimVocoder, HifiGanVocoder, Vocoder, VocosVocoder, load_vocoder
from smoltolk.speech.vocoders.mel_vocoder import MelVocoder

UNITS, DURATIONS = np.array([3, 1, 4, 1, 5]), np.array([1, 2, 1, 3, 2])
FINGERPRINT = "f" * 64
TINY = {"width": 8, "hidden": 16, "num_blocks": 1}


def tiny_hifigan(**changes: object) -> HifiGanConfig:
    settings = {
        "num_embeddings": 10,
        "embedding_dim": 4,
        "model_in_dim": 4,
        "upsample_rates": [8, 8, 5, 2],
        "upsample_kernel_sizes": [16, 16, 11, 4],
        "upsample_initial_channel": 16,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3]],
        "dur_predictor_params": {
            "encoder_embed_dim": 4,
            "var_pred_hidden_dim": 8,
            "var_pred_kernel_size": 3,
            "var_pred_dropout": 0.5,
        },
    }
    return HifiGanConfig.from_dict(settings | changes)


@pytest.fixture(params=KINDS)
def any_vocoder(request: pytest.FixtureRequest) -> Vocoder:
    if request.param == VocosVocoder.KIND:
        return VocosVocoder(10, 25.0, FINGERPRINT, network=TINY)
    if request.param == HifiGanVocoder.KIND:
        return HifiGanVocoder(tiny_hifigan(), FINGERPRINT)
    return GriffinLimVocoder(10, 25.0, FINGERPRINT, width=8)


def test_every_kind_speaks_as_long_as_it_should(any_vocoder: Vocoder) -> None:
    sound = any_vocoder.synthesize(UNITS, DURATIONS)
    assert sound.dtype == np.float32 and sound.shape == (640 * 9,) and np.abs(sound).max() <= 1
    own = any_vocoder.predict_durations(UNITS)
    assert own.shape == UNITS.shape and own.min() >= 1
    assert len(any_vocoder.synthesize(UNITS)) == 640 * own.sum()
    waveform = np.sin(np.arange(5_000) / 20).astype(np.float32)
    assert any_vocoder.copy_synthesis(waveform).shape == (5_000,)


def test_every_kind_says_the_same_alone_and_in_a_batch(any_vocoder: Vocoder) -> None:
    batch = any_vocoder.synthesize_batch([UNITS, UNITS[:2]], [DURATIONS, DURATIONS[:2]])
    np.testing.assert_array_equal(batch[1], any_vocoder.synthesize(UNITS[:2], DURATIONS[:2]))
    assert any_vocoder.synthesize_batch([]) == []
    with pytest.raises(InputError, match="2 and 1"):
        any_vocoder.synthesize_batch([UNITS, UNITS], speakers=[None])


def test_every_kind_loads_bit_for_bit(any_vocoder: Vocoder, tmp_path: Path) -> None:
    any_vocoder.save(tmp_path / "v")
    for loaded in (load_vocoder(tmp_path / "v", FINGERPRINT), type(any_vocoder).load(tmp_path / "v")):
        assert type(loaded) is type(any_vocoder) and loaded.fingerprint == any_vocoder.fingerprint
        np.testing.assert_array_equal(loaded.synthesize(UNITS), any_vocoder.synthesize(UNITS))
        assert (loaded.sample_rate, loaded.frame_rate, loaded.num_units) == (16_000, 25.0, 10)
    with pytest.raises(InputError, match="one tokenizer only"):
        load_vocoder(tmp_path / "v", "0" * 64)
    config = tmp_path / "v" / "config.json"
    whole = config.read_text()
    for missing in ("unit_fingerprint", "num_units", "generator"):
        config.write_text(json.dumps({name: value for name, value in json.loads(whole).items() if name != missing}))
        if config.read_text() != json.dumps(json.loads(whole)):
            with pytest.raises(InputError, match="as it was saved"):
                load_vocoder(tmp_path / "v")
    config.write_text(whole)
    config.write_text(json.dumps(json.loads(config.read_text()) | {"unit_fingerprint": "0" * 64}))
    with pytest.raises(InputError, match="belong together"):
        load_vocoder(tmp_path / "v")


def test_a_class_loads_its_own_kind_only(tmp_path: Path) -> None:
    GriffinLimVocoder(10, 25.0, FINGERPRINT, width=8).save(tmp_path / "v")
    with pytest.raises(InputError, match="kind 'mel-griffin-lim'"):
        VocosVocoder.load(tmp_path / "v")
    for no_kind in (Vocoder, MelVocoder):
        with pytest.raises(InputError, match="load_vocoder"):
            no_kind.load(tmp_path / "v")
    with pytest.raises(NotFoundError):
        load_vocoder(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("units", "durations", "message"),
    [
        ([], None, "one or more whole numbers"),
        ([1.5], None, "one or more whole numbers"),
        ([0, 10], None, r"0 \.\. 9"),
        ([-1, 3], None, r"0 \.\. 9"),
        ([1, 2], [1], "at least one for each unit"),
        ([1, 2], [1, 0], "at least one for each unit"),
        ([1, 2], [1.0, 2.0], "at least one for each unit"),
    ],
)
def test_every_kind_refuses_what_cannot_be_spoken(
    any_vocoder: Vocoder, units: list[float], durations: list[float] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        any_vocoder.synthesize(np.array(units), None if durations is None else np.array(durations))


def test_a_vocoder_of_one_voice_knows_no_other(any_vocoder: Vocoder) -> None:
    np.testing.assert_array_equal(any_vocoder.synthesize(UNITS, speaker=0), any_vocoder.synthesize(UNITS))
    for nobody in ("anna", 1, -1):
        with pytest.raises(
            InputError, match=r"one of the vocoder's voices\n.*is one, without a name\n.*leave the speaker out"
        ):
            any_vocoder.synthesize(UNITS, speaker=nobody)
