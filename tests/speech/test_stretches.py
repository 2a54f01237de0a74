"""Stretches of files: the same samples as in the whole, and plain words where there are none."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.audio import load, load_stretch

RATE = 16_000


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (3 * RATE, 2)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_a_stretch_is_what_the_whole_has_there(suffix: str, noise: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, noise, RATE)
    found = load_stretch(path, 1.25, 0.5)
    assert len(found) == 8_000 and found == pytest.approx(load(path)[20_000:28_000], abs=2e-3)


def test_channels(noise: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise, RATE, subtype="FLOAT")
    for channels, expected in (((), noise.mean(1)), ((0,), noise[:, 0]), ((1,), noise[:, 1]), ((0, 1), noise.mean(1))):
        assert load_stretch(path, 0.0, 3.0, channels) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match=r"channel 2 of a\.wav, which has 2"):
        load_stretch(path, 0.0, 1.0, (2,))


@pytest.mark.parametrize(("start", "seconds"), [(-0.1, 1.0), (0.0, 0.0), (2.5, 0.6), (9.0, 1.0), (float("nan"), 1.0)])
def test_stretches_that_are_not_there(start: float, seconds: float, noise: np.ndarray, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise, RATE)
    with pytest.raises(InputError, match="lies within its recording"):
        load_stretch(tmp_path / "a.wav", start, seconds)


def test_files_that_cannot_be_used(noise: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise, RATE)
    path.write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(InputError, match=r"must be whole|must be audio"):
        load_stretch(path, 1.0, 2.0)
    noise[10] = np.nan
    soundfile.write(tmp_path / "b.wav", noise, RATE, subtype="FLOAT")
    assert len(load_stretch(tmp_path / "b.wav", 1.0, 1.0)) == RATE
    with pytest.raises(InputError, match="NaN"):
        load_stretch(tmp_path / "b.wav", 0.0, 1.0)
    with pytest.raises(NotFoundError, match="no file"):
        load_stretch(tmp_path / "c.wav", 0.0, 1.0)
