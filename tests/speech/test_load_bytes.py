"""Recordings that nobody vouches for, decoded in memory."""

import io
import struct

import numpy as np
import pytest
import soundfile

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import load, load_bytes, save
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, espeak_available, voices


@pytest.fixture(scope="module")
def speech():
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    return EspeakSynthesizer().speak("Mia has a dog.", voices(1, seed=0, split="seen")[0]).waveform


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("rate", [16_000, 8_000])
def test_the_same_as_from_a_file(speech, suffix, rate, tmp_path):
    path = tmp_path / f"a{suffix}"
    save(path, speech, 16_000)
    made = load_bytes(path.read_bytes(), rate, longest=30)
    assert np.allclose(made, load(path, rate), atol=1e-4)


def test_its_length_is_held_to_the_limit(speech):
    held = io.BytesIO()
    soundfile.write(held, speech, 16_000, format="FLAC")
    seconds = len(speech) / 16_000
    assert len(load_bytes(held.getvalue(), longest=seconds)) == len(speech)
    with pytest.raises(InputError, match="at most"):
        load_bytes(held.getvalue(), longest=seconds - 0.01)


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (1_999, 1), (900_000, 1), (16_000, 33)])
def test_heads_that_no_recording_has(rate, channels):
    size = 66 * 100
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    data = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + head
    with pytest.raises(InputError, match="the recording has"):
        load_bytes(data + b"data" + struct.pack("<I", size) + b"\1\0" * (size // 2), longest=10_000)


def test_nothing_is_looked_for_under_its_name(speech, tmp_path):
    path = tmp_path / "there.wav"
    save(path, speech, 16_000)
    for data in (b"", b"no sound at all, but a file of this name is there"):
        with pytest.raises(InputError):
            load_bytes(data, longest=10, name=str(path))
