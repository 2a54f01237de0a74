"""Whatever a wav's header says: all samples come out, or it says that some are missing."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import load, load_stretch, measure

Place, Make = Callable[[str, bytes], Path], Callable[..., bytes]
RATE = 16_000
WIDTHS = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
UNKNOWN = (0, 0x7FFF_F000, 0x7FFF_FFD8, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFF - 36)


def near(found: np.ndarray, expected: np.ndarray, error: float) -> bool:
    return found.shape == expected.shape and bool((np.abs(found - expected) <= error).all())


@pytest.fixture(scope="module")
def samples(noise: Callable[..., np.ndarray]) -> np.ndarray:
    return noise(1.1)


@pytest.fixture(scope="module")
def wavs(samples: np.ndarray, by_libsndfile: Make) -> dict[str, bytes]:
    return {kind: by_libsndfile(samples, "WAV", kind) for kind in WIDTHS}


def sizes(held: int) -> st.SearchStrategy[int]:
    near = st.integers(-5_000, 5_000).map(lambda off: max(0, held + off))
    return near | st.sampled_from(UNKNOWN) | st.integers(0, 2**32 - 1)


def with_sizes(content: bytes, riff: int, data: int) -> bytes:
    at = content.index(b"data") + 4
    return content[:4] + struct.pack("<I", riff) + content[8:at] + struct.pack("<I", data) + content[at + 4 :]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(WIDTHS)))
def test_sizes_that_lie(
    wavs: dict[str, bytes], samples: np.ndarray, place: Place, data: st.DataObject, kind: str
) -> None:
    held = len(samples) * WIDTHS[kind]
    promised, riff = data.draw(sizes(held)), data.draw(sizes(held + 36))
    path = place("lies.wav", with_sizes(wavs[kind], riff, promised))
    missing = (promised - held) / (RATE * WIDTHS[kind])
    if promised < 0x7FFF_0000 and missing > 0.1 + 1e-3:
        with pytest.raises(InputError, match="must be whole"):
            load(path)
        with pytest.raises(InputError, match="must be whole"):
            measure(path)
    elif promised >= 0x7FFF_0000 or missing < 0.1 - 1e-3:
        assert near(load(path), samples, 0.01)
        assert measure(path).num_samples == len(samples) == measure(path, decode=True).num_samples
        assert len(load_stretch(path, 1.0, 0.1)) == 1_600


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(sorted(WIDTHS)))
def test_cut_anywhere(
    wavs: dict[str, bytes], samples: np.ndarray, place: Place, data: st.DataObject, kind: str
) -> None:
    content = wavs[kind]
    path = place("cut.wav", content[: data.draw(st.integers(0, len(content)) | st.integers(0, 100))])
    try:
        found = load(path)
    except InputError:
        return
    assert len(samples) - len(found) <= 0.1 * RATE + 1 and near(found, samples[: len(found)], 0.01)


@settings(max_examples=50, deadline=None)
@given(before=st.binary(max_size=40), behind=st.binary(max_size=40), odd=st.integers(0, 1))
def test_chunks_behind_are_no_sound(before: bytes, behind: bytes, odd: int, place: Place) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)

    sound = np.arange(101, dtype=np.uint8)[: 100 + odd].tobytes()
    head = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8))
    body = (
        b"WAVE" + head + chunk(b"LIST", before) + chunk(b"data", sound) + chunk(b"LIST", behind) + chunk(b"bext", b"")
    )
    path = place("chunks.wav", b"RIFF" + struct.pack("<I", len(body)) + body)
    assert measure(path).num_samples == len(sound) == len(load(path))


def test_one_behind_the_other(wavs: dict[str, bytes], samples: np.ndarray, place: Place) -> None:
    path = place("two.wav", wavs["PCM_16"] + wavs["PCM_24"] + wavs["PCM_16"])
    assert near(load(path), np.tile(samples, 3), 1e-3) and measure(path).num_samples == 3 * len(samples)
    assert near(load_stretch(path, 1.0, 1.0), np.tile(samples, 3)[RATE : 2 * RATE], 1e-3)
    with pytest.raises(InputError, match="must be whole"):
        load(place("two.wav", (wavs["PCM_16"] * 2)[:-8_000]))
