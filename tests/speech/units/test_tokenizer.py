import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.audio import check_waveform
from smoltolk.speech.phones import PHONES
from smoltolk.speech.units.codebook import Codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.units.phone_bottleneck import BottleneckEncoder
from smoltolk.speech.units.phone_encoder import PhoneUnitTokenizer
from smoltolk.speech.units.phone_network import PhoneNetwork
from smoltolk.speech.units.tokenizer import UnitTokenizer, deduplicate, fingerprint_of


@given(st.lists(st.integers(0, 3), max_size=30))
def test_deduplication_loses_nothing(frames: list[int]) -> None:
    units = deduplicate(np.array(frames, dtype=np.int64))
    assert units.frames().tolist() == frames
    assert units.num_frames == len(frames)
    assert (units.durations >= 1).all()
    assert (np.diff(units.units) != 0).all()
    assert units.units.dtype == units.durations.dtype == np.int64


def test_fingerprints_tell_settings_names_shapes_and_values_apart() -> None:
    weights = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    first = fingerprint_of({"x": 1, "y": 2}, weights)
    assert len(first) == 64
    assert fingerprint_of({"y": 2, "x": 1}, dict(reversed(weights.items()))) == first
    others = [
        fingerprint_of({"x": 1, "y": 3}, weights),
        fingerprint_of({"x": 1, "y": 2}, weights | {"a": torch.zeros(3, 2)}),
        fingerprint_of({"x": 1, "y": 2}, weights | {"b": torch.tensor([1.0001])}),
    ]
    assert len({first, *others}) == 4


def test_fingerprints_of_saved_tokenizers_stay_what_they_were(tmp_path: Path) -> None:
    """Data and models name them: these were computed by the version that first wrote them."""
    network = PhoneNetwork(len(PHONES), bottleneck=32)
    for weights in network.state_dict().values():
        weights.fill_(0.5 if weights.is_floating_point() else 1)
    phones = PhoneUnitTokenizer(PHONES, network)
    tokenizers: dict[str, UnitTokenizer] = {
        "2c12912b9d2f86bf6029f5918fc8fe9694a36c51373a63da3498c9f3a71e21c9": phones,
        "60f0871414ee402fb274be0ae5f14b34ee282849658f0d14cb4df651eb618d3b": EncoderUnitTokenizer(
            BottleneckEncoder(phones), Codebook(torch.arange(64.0).reshape(2, 32))
        ),
        "e7f70449472d2c5711c3dac777e492fe557ec79fa73211980812870d6fff2d5d": EncoderUnitTokenizer(
            MfccEncoder(), Codebook(torch.arange(78.0).reshape(2, 39))
        ),
    }
    for fingerprint, tokenizer in tokenizers.items():
        assert tokenizer.fingerprint == fingerprint
        tokenizer.save(tmp_path / fingerprint)
        written = json.loads((tmp_path / fingerprint / "config.json").read_text())
        assert written == {**tokenizer.config(), "fingerprint": fingerprint} and written["kind"] == tokenizer.KIND


@pytest.mark.parametrize(
    ("waveform", "found"),
    [
        (np.zeros(0), "shape (0,)"),
        (np.zeros((2, 100)), "shape (2, 100)"),
        (np.array([0.0, np.nan]), "1 of 2 samples"),
        (np.array([0.0, np.inf, np.nan]), "2 of 3 samples"),
    ],
)
def test_what_is_no_waveform_is_refused(waveform: np.ndarray, found: str) -> None:
    with pytest.raises(InputError) as caught:
        check_waveform(waveform)
    assert found in caught.value.found


def test_a_saved_tokenizer_says_the_same(
    tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray], tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "units")
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    loaded = load_unit_tokenizer(tmp_path / "units")
    assert loaded.fingerprint == tokenizer.fingerprint
    assert (loaded.num_units, loaded.frame_rate, loaded.num_codebooks) == (41, 25.0, 1)
    for first, second in zip(loaded.encode(clear_speech), tokenizer.encode(clear_speech), strict=True):
        np.testing.assert_array_equal(first.units, second.units)
        np.testing.assert_array_equal(first.durations, second.durations)


def test_what_is_no_tokenizer_is_refused(tokenizer: PhoneUnitTokenizer, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_unit_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "tape"}')
    with pytest.raises(InputError, match="kind 'tape'"):
        load_unit_tokenizer(tmp_path)
    tokenizer.save(tmp_path / "units")
    config_path = tmp_path / "units" / "config.json"
    config = json.loads(config_path.read_text())
    config_path.write_text(json.dumps(config | {"phones": config["phones"][::-1]}))
    with pytest.raises(InputError, match="belong together"):
        load_unit_tokenizer(tmp_path / "units")
    config_path.write_text(json.dumps(config | {"width": 32}))
    with pytest.raises(InputError, match=r"model\.safetensors must hold"):
        load_unit_tokenizer(tmp_path / "units")
    (tmp_path / "units" / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match="weights"):
        load_unit_tokenizer(tmp_path / "units")


def test_units_are_pushed_and_loaded_from_the_hub(
    tokenizer: PhoneUnitTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network: a stand-in for the hub keeps what is uploaded."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    hub = tmp_path / "hub"

    class Api:
        def __init__(self, token: str | None = None):
            assert token == "secret"

        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
            assert private and exist_ok
            return f"https://hub/{repo_id}"

        def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
            assert tokenizer.fingerprint[:16] in commit_message
            shutil.copytree(folder_path, hub / repo_id)

    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        if not (hub / repo_id).is_dir():
            raise LocalEntryNotFoundError(f"no {repo_id}")
        assert {path.name for path in (hub / repo_id).iterdir()} == set(allow_patterns)
        return str(hub / repo_id)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert tokenizer.push("me/units", private=True, token="secret") == "https://hub/me/units"
    for name in ("hf://me/units", Path("hf://me/units")):
        assert load_unit_tokenizer(name).fingerprint == tokenizer.fingerprint
    with pytest.raises(NotFoundError, match="units on the hub must exist"):
        load_unit_tokenizer("hf://me/nothing")
