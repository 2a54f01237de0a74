"""Units of audio files: good ones of every kind, and bad ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.audio import load
from smoltolk.speech.units.codebook import Codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.files import encode_files
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.units.tokenizer import Units


class Counted(EncoderUnitTokenizer):
    """Notes the seconds of the recordings that it is given together."""

    def __init__(self) -> None:
        centers = torch.randn(20, 39, generator=torch.Generator().manual_seed(0))
        super().__init__(MfccEncoder(), Codebook(centers))
        self.calls: list[list[float]] = []

    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        self.calls.append([len(waveform) / self.sample_rate for waveform in waveforms])
        return super().encode(waveforms)


@pytest.fixture(scope="module")
def speech(clear_speech: list[np.ndarray]) -> np.ndarray:
    return clear_speech[0]


def test_files_are_read_at_any_rate_and_with_any_channels(speech: np.ndarray, tmp_path: Path) -> None:
    tokenizer = Counted()
    soundfile.write(tmp_path / "plain.flac", speech, 16_000)
    soundfile.write(tmp_path / "8.wav", np.stack([speech * gain for gain in np.linspace(0, 1, 8)], 1), 16_000)
    soundfile.write(tmp_path / "8k.wav", soxr.resample(speech, 16_000, 8_000), 8_000)
    soundfile.write(tmp_path / "clipped.wav", np.clip(speech * 30, -1, 1), 16_000)
    soundfile.write(tmp_path / "zeros.wav", np.zeros(20_000), 16_000)
    paths = [tmp_path / name for name in ("plain.flac", "8.wav", "8k.wav", "clipped.wav", "zeros.wav")]
    found = dict(encode_files(tokenizer, paths))
    assert list(found) == paths
    for path in paths:
        waveform = load(path)
        assert np.array_equal(found[path].units, tokenizer.encode([waveform])[0].units)
        assert found[path].num_frames == len(waveform) // 640
    plain, channels = found[paths[0]].frames(), found[paths[1]].frames()
    assert (plain == channels).mean() > 0.95  # half as loud, which the features do not show
    assert len(found[paths[-1]].units) == 1  # silence is one thing throughout


def test_bad_files_are_named(speech: np.ndarray, tmp_path: Path) -> None:
    tokenizer = Counted()
    good, holes = tmp_path / "good.wav", speech.copy()
    soundfile.write(good, speech, 16_000)
    soundfile.write(tmp_path / "short.wav", speech[:200], 16_000)
    soundfile.write(tmp_path / "empty.wav", speech[:0], 16_000)
    holes[[5, 9]] = np.nan, np.inf
    soundfile.write(tmp_path / "holes.wav", holes, 16_000, subtype="FLOAT")
    (tmp_path / "nothing.wav").write_bytes(b"")
    (tmp_path / "half.wav").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    for name, found in (
        ("short.wav", r"200 samples in .*short\.wav"),
        ("empty.wav", r"empty\.wav must have samples"),
        ("holes.wav", r"holes\.wav must be finite\n.*2 of 37441 samples"),
        ("nothing.wav", r"nothing\.wav must have samples"),
        ("half.wav", r"half\.wav must be whole"),
    ):
        with pytest.raises(InputError, match=found):
            list(encode_files(tokenizer, [good, tmp_path / name, good]))
    with pytest.raises(NotFoundError, match=r"none\.wav"):
        list(encode_files(tokenizer, [tmp_path / "none.wav"]))


def test_few_recordings_are_in_memory_at_a_time(tmp_path: Path) -> None:
    tokenizer = Counted()
    seconds = [*[1.0] * 18, 250.0, 300.0, 100.0, 700.0, 2.0]
    random = np.random.default_rng(0)
    noise = (0.1 * random.standard_normal(16_000 * 700)).astype(np.float32)
    for number, length in enumerate(seconds):
        soundfile.write(tmp_path / f"{number}.wav", noise[: int(16_000 * length)], 16_000)
    found = [units.num_frames / 25 for _, units in encode_files(tokenizer, sorted(tmp_path.iterdir(), key=_number))]
    assert found == seconds
    assert tokenizer.calls == [[1.0] * 16, [1.0, 1.0, 250.0, 300.0], [100.0], [700.0], [2.0]]


def _number(path: Path) -> int:
    return int(path.stem)
