"""An encoder with its codebook: units, and what is kept of them."""

import json
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from transformers import HubertConfig, HubertModel

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import load, save
from smoltolk.speech.units.codebook import Codebook, read_codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.units.pretrained_encoder import PretrainedEncoder
from smoltolk.speech.units.tokenizer import Units

CONV = {"conv_dim": (8,) * 8, "conv_kernel": (10, 3, 3, 3, 3, 2, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2, 2)}
SIZE = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "num_conv_pos_embedding_groups": 4,
}


@pytest.fixture(scope="module")
def noises() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(random.standard_normal(n) * 0.1).astype(np.float32) for n in (9000, 16_321, 70_000, 720, 30_000)]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, noises: list[np.ndarray]) -> Path:
    """A tiny encoder as the hub has it, and its codebook as joblib wrote it."""
    directory = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    HubertModel(HubertConfig(**CONV, **SIZE)).save_pretrained(directory / "encoder")
    encoder = PretrainedEncoder.from_pretrained(str(directory / "encoder"), 2)
    frames = torch.cat(encoder.features(noises)).numpy()
    joblib.dump(KMeans(12, n_init=1, random_state=0).fit(frames), directory / "km12.bin")
    return directory


@pytest.fixture(scope="module")
def units(published: Path) -> EncoderUnitTokenizer:
    encoder = PretrainedEncoder.from_pretrained(str(published / "encoder"), 2)
    return EncoderUnitTokenizer(encoder, read_codebook(published / "km12.bin"))


def same(first: list[Units], second: list[Units]) -> bool:
    return all(np.array_equal(a.frames(), b.frames()) for a, b in zip(first, second, strict=True))


def test_units_are_those_of_scikit_learn(
    units: EncoderUnitTokenizer, published: Path, noises: list[np.ndarray]
) -> None:
    kmeans = joblib.load(published / "km12.bin")
    encoded = units.encode(noises)
    for one, features in zip(encoded, units.encoder.features(noises), strict=True):
        expected = kmeans.predict(features.numpy().astype(kmeans.cluster_centers_.dtype))
        np.testing.assert_array_equal(one.frames(), expected)
        assert (np.diff(one.units) != 0).all()
    assert (units.num_units, units.frame_rate, units.sample_rate, units.num_codebooks) == (12, 25, 16_000, 1)
    assert len(np.unique(np.concatenate([one.units for one in encoded]))) > 3


def test_units_do_not_depend_on_the_batch(units: EncoderUnitTokenizer, noises: list[np.ndarray]) -> None:
    alone = [units.encode([one])[0] for one in noises]
    assert same(units.encode(noises), alone) and same(units.encode(noises[::-1])[::-1], alone)
    assert units.encode([]) == []


def test_saved_units_say_the_same(units: EncoderUnitTokenizer, noises: list[np.ndarray], tmp_path: Path) -> None:
    units.save(tmp_path / "units")
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == ["config.json", "model.safetensors"]
    loaded = load_unit_tokenizer(tmp_path / "units")
    assert loaded.fingerprint == units.fingerprint and same(loaded.encode(noises), units.encode(noises))
    # What decides units decides the fingerprint: the windows too.
    path = tmp_path / "units" / "config.json"
    config = json.loads(path.read_text())
    for change in ({"window_seconds": 10.0}, {"normalize": True}, {"dtype": "bfloat16"}, {"layer": 1}):
        path.write_text(json.dumps({**config, "encoder": {**config["encoder"], **change}}))
        with pytest.raises(InputError, match=r"belong together|must hold what"):
            load_unit_tokenizer(tmp_path / "units")
    path.write_text(json.dumps({**config, "encoder": {**config["encoder"], "kind": "magic"}}))
    with pytest.raises(InputError, match="kind 'magic'"):
        load_unit_tokenizer(tmp_path / "units")
    del config["encoder"]["layer"]
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="config must be whole"):
        load_unit_tokenizer(tmp_path / "units")


def test_fingerprints_know_layer_centres_and_windows(units: EncoderUnitTokenizer, published: Path) -> None:
    name, centers = str(published / "encoder"), units.codebook.centers
    prints = {
        units.fingerprint,
        EncoderUnitTokenizer(PretrainedEncoder.from_pretrained(name, 1), units.codebook).fingerprint,
        EncoderUnitTokenizer(PretrainedEncoder.from_pretrained(name, 2), Codebook(centers * 1.01)).fingerprint,
        EncoderUnitTokenizer(PretrainedEncoder.from_pretrained(name, 2, dtype="bfloat16"), units.codebook).fingerprint,
    }
    again = EncoderUnitTokenizer(PretrainedEncoder.from_pretrained(name, 2), units.codebook)
    assert len(prints) == 4 and again.fingerprint == units.fingerprint
    again.encode([np.zeros(9000, dtype=np.float32)])
    again.to("cpu")
    assert again.config() == units.config()


def test_files_of_other_rates_and_channels_become_units(
    units: EncoderUnitTokenizer, noises: list[np.ndarray], tmp_path: Path
) -> None:
    import soundfile

    soundfile.write(tmp_path / "eight.wav", np.stack([noises[2]] * 8, axis=1), 16_000, subtype="FLOAT")
    assert same(units.encode([load(tmp_path / "eight.wav", units.sample_rate)]), units.encode(noises[2:3]))
    save(tmp_path / "low.wav", noises[2][:16_000], 8_000)
    assert units.encode([load(tmp_path / "low.wav", units.sample_rate)])[0].num_frames == (32_000 - 720) // 640 + 1
    for bad in (np.zeros(0), np.zeros(719), np.full(9000, np.nan), np.zeros((8, 9000))):
        with pytest.raises(InputError):
            units.encode([noises[0], bad])
    clipped, silent = np.clip(noises[0] * 100, -1, 1), np.zeros(9000, dtype=np.float32)
    assert [one.num_frames for one in units.encode([clipped, silent])] == [13, 13]


def test_a_codebook_of_another_encoder_is_refused(units: EncoderUnitTokenizer) -> None:
    with pytest.raises(InputError, match="24 numbers a frame there, 39 here"):
        EncoderUnitTokenizer(MfccEncoder(), units.codebook)
