import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.audio import load, load_stretch, num_frames, num_samples, read_blocks, resample, save
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Voice, espeak_available


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    return EspeakSynthesizer().speak("The old fox lives in the deep forest.", Voice()).waveform


@pytest.mark.parametrize(("suffix", "error"), [(".wav", 1e-4), (".flac", 1e-4), (".ogg", 0.2), (".mp3", 0.2)])
def test_a_file_gives_back_what_was_saved(tmp_path: Path, speech: np.ndarray, suffix: str, error: float) -> None:
    save(tmp_path / f"fox{suffix}", speech)
    loaded = load(tmp_path / f"fox{suffix}")
    assert loaded.dtype == np.float32
    assert abs(len(loaded) - len(speech)) <= 2_400  # mp3 and ogg may pad a block
    same = min(len(loaded), len(speech))
    assert np.corrcoef(loaded[:same], speech[:same])[0, 1] > 1 - error
    assert [path.name for path in tmp_path.iterdir()] == [f"fox{suffix}"]


def test_channels_are_averaged_and_loudness_stays(tmp_path: Path, speech: np.ndarray) -> None:
    soundfile.write(tmp_path / "two.wav", np.stack([speech, 0 * speech], axis=1), 16_000, subtype="FLOAT")
    assert np.allclose(load(tmp_path / "two.wav"), speech / 2, atol=1e-6)


def test_times_survive_resampling(speech: np.ndarray) -> None:
    there = resample(speech, 16_000, 24_000)
    back = resample(there, 24_000, 16_000)
    assert len(there) == num_samples(len(speech) / 16_000, 24_000)
    assert len(back) == len(speech)
    assert np.corrcoef(back, speech)[0, 1] > 0.999
    assert resample(speech, 16_000, 16_000) is speech


def test_loading_resamples(tmp_path: Path, speech: np.ndarray) -> None:
    save(tmp_path / "fox.wav", resample(speech, 16_000, 44_100), sample_rate=44_100)
    assert len(load(tmp_path / "fox.wav")) == len(speech)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_blocks_are_the_whole(tmp_path: Path, rate: int) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(5 * rate + 17)).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, rate, subtype="FLOAT")
    whole = resample(noise, rate, 16_000)
    assert np.abs(load(tmp_path / "noise.wav") - whole).max() == 0
    for seconds in (0.01, 0.7, 60.0):
        blocks = list(read_blocks(tmp_path / "noise.wav", seconds=seconds))
        assert np.abs(np.concatenate(blocks) - whole).max() == 0


def test_three_hours_take_the_memory_of_a_block(tmp_path: Path) -> None:
    path, hours, rate = tmp_path / "long.flac", 3, 8_000
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for _ in range(6 * hours):
            file.write(np.full(600 * rate, 8_000, np.int16))
    tracemalloc.start()
    total = sum(len(block) for block in read_blocks(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == hours * 3600 * 16_000
    assert peak < 20e6


def test_eight_channels_of_eight_kilohertz(tmp_path: Path) -> None:
    channels = np.zeros((40_000, 8), np.float32)
    channels[:, 3] = 0.8
    soundfile.write(tmp_path / "eight.wav", channels, 8_000)
    loaded = load(tmp_path / "eight.wav")
    assert len(loaded) == 80_000 and np.median(loaded) == pytest.approx(0.1, rel=1e-3)


def test_silence_and_clipped_speech_stay_as_they_are(tmp_path: Path, speech: np.ndarray) -> None:
    save(tmp_path / "zeros.flac", np.zeros(16_000))
    assert (load(tmp_path / "zeros.flac") == 0).all() and len(load(tmp_path / "zeros.flac")) == 16_000
    clipped = np.clip(speech * 20, -1, 1)
    save(tmp_path / "clipped.wav", clipped)
    assert np.abs(load(tmp_path / "clipped.wav") - clipped).max() < 1e-4
    loud = speech * (1.3 / np.abs(speech).max())
    soundfile.write(tmp_path / "loud.wav", loud, 16_000, subtype="FLOAT")
    assert np.allclose(load(tmp_path / "loud.wav"), loud)


@pytest.mark.parametrize("scale", [32_768, 2**31, 30])
def test_integers_written_as_floats_are_refused(tmp_path: Path, speech: np.ndarray, scale: float) -> None:
    soundfile.write(tmp_path / "a.wav", np.pad(speech, (0, 300_000)) * scale, 16_000, subtype="FLOAT")
    for read in (load, lambda path: load_stretch(path, 0.5, 1.0)):
        with pytest.raises(InputError, match="full scale at 1"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_files_that_break_off_are_refused(tmp_path: Path, speech: np.ndarray, suffix: str) -> None:
    save(tmp_path / f"whole{suffix}", np.tile(speech, 3))
    content = (tmp_path / f"whole{suffix}").read_bytes()
    for share in (0.5, 0.01):
        (tmp_path / f"half{suffix}").write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"must be whole|must be audio|must have samples") as error:
            load(tmp_path / f"half{suffix}")
        assert "found: \n" not in str(error.value)


def test_a_wav_of_unknown_length_is_whole(tmp_path: Path, speech: np.ndarray) -> None:
    save(tmp_path / "piped.wav", speech)
    content = bytearray((tmp_path / "piped.wav").read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff" * 4  # as programs write that do not know when the sound will end
    (tmp_path / "piped.wav").write_bytes(content)
    assert len(load(tmp_path / "piped.wav")) == len(speech)


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="must exist"):
        load(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("no audio at all")
    with pytest.raises(InputError, match="must be audio"):
        load(tmp_path / "text.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, dtype=np.float32), 16_000)
    with pytest.raises(InputError, match="must have samples"):
        load(tmp_path / "empty.wav")
    broken = np.array([0.1, np.nan, 0.2], dtype=np.float32)
    soundfile.write(tmp_path / "nan.wav", broken, 16_000, subtype="FLOAT")
    with pytest.raises(InputError, match="1 of 3 samples are NaN"):
        load(tmp_path / "nan.wav")


def test_bad_waveforms_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="written as"):
        save(tmp_path / "fox.aiff", np.zeros(10))
    with pytest.raises(InputError, match="finite"):
        save(tmp_path / "fox.wav", np.array([0.0, np.inf]))
    with pytest.raises(InputError, match="mono"):
        save(tmp_path / "fox.wav", np.zeros((10, 2)))
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 10**8), st.sampled_from([8_000, 16_000, 22_050, 24_000]))
def test_a_sample_survives_its_time(sample: int, rate: int) -> None:
    assert num_samples(sample / rate, rate) == sample


@given(st.integers(0, 10**6), st.sampled_from([12.5, 25.0, 50.0]))
def test_a_frame_survives_its_time(frame: int, rate: float) -> None:
    assert num_frames(frame / rate, rate) == frame
    assert num_frames((frame + 0.9) / rate, rate) == frame


def test_times_are_checked() -> None:
    for seconds, rate in ((-0.1, 16_000), (float("nan"), 16_000), (1.0, 0)):
        with pytest.raises(InputError, match="a time is finite"):
            num_samples(seconds, rate)
