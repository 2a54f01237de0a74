"""Flac and ogg: all that another decoder finds comes out, whatever the header says, or the file is refused."""

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
TOTALS = st.integers(0, 40_000) | st.sampled_from((0, 1, 2**36 - 1)) | st.integers(0, 2**36 - 1)


def near(found: np.ndarray, expected: np.ndarray, error: float) -> bool:
    return found.shape == expected.shape and bool((np.abs(found - expected) <= error).all())


@pytest.fixture(scope="module")
def samples(noise: Callable[..., np.ndarray]) -> np.ndarray:
    return noise(2.0)


@pytest.fixture(scope="module")
def flac(samples: np.ndarray, by_libsndfile: Make) -> bytes:
    return by_libsndfile(samples, "FLAC")


@pytest.fixture(scope="module")
def oggs(samples: np.ndarray, by_libsndfile: Make) -> dict[str, bytes]:
    return {kind: by_libsndfile(samples, "OGG", kind) for kind in ("VORBIS", "OPUS")}


def with_total(content: bytes, total: int) -> bytes:
    kept = int.from_bytes(content[18:26], "big") >> 36
    return content[:18] + (kept << 36 | total).to_bytes(8, "big") + content[26:]


def id3(body: bytes) -> bytes:
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + body


@settings(max_examples=100, deadline=None)
@given(total=TOTALS, tag=st.none() | st.binary(max_size=300))
def test_flac_totals_that_lie(flac: bytes, samples: np.ndarray, place: Place, total: int, tag: bytes | None) -> None:
    path = place("lies.flac", (b"" if tag is None else id3(tag)) + with_total(flac, total))
    if total > len(samples) + 0.1 * RATE:
        with pytest.raises(InputError, match="must be whole"):
            load(path)
    else:
        assert near(load(path), samples, 1e-4)
        assert measure(path, decode=True).num_samples == len(samples)
        assert near(load_stretch(path, 1.5, 0.5), samples[24_000:], 1e-4)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.booleans())
def test_flac_cut_anywhere(
    flac: bytes, place: Place, decoded_by_ffmpeg: Callable[..., np.ndarray], data: st.DataObject, unknown: bool
) -> None:
    content = with_total(flac, 0) if unknown else flac
    content = content[: data.draw(st.integers(0, len(content)) | st.integers(0, 100))]
    try:
        found = load(place("cut.flac", content))
    except InputError:
        return
    there = decoded_by_ffmpeg(content)
    assert len(found) >= len(there)
    assert near(found[: len(there)], there, 1e-4)
    assert unknown or len(found) >= 2.0 * RATE - 0.1 * RATE


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(("VORBIS", "OPUS")))
def test_ogg_cut_anywhere(oggs: dict[str, bytes], place: Place, data: st.DataObject, kind: str) -> None:
    content = oggs[kind]
    with pytest.raises(InputError):
        load(place("cut.ogg", content[: data.draw(st.integers(0, len(content) - 1))]))


@pytest.mark.parametrize("kind", ["VORBIS", "OPUS"])
def test_oggs_one_behind_the_other(
    oggs: dict[str, bytes], samples: np.ndarray, place: Place, kind: str, by_libsndfile: Make
) -> None:
    content = oggs[kind]
    once = load(place("one.ogg", content))
    assert abs(len(once) - len(samples)) < 400 and np.corrcoef(once[:30_000], samples[:30_000])[0, 1] > 0.9
    path = place("two.ogg", content + b"junk" + content)
    assert near(load(path), np.tile(once, 2), 0.05) and measure(path).num_samples == 2 * len(once)
    second_page = content.index(b"OggS", 4)
    with pytest.raises(InputError, match="its beginning is missing"):
        load(place("tail.ogg", content[second_page:]))
    with pytest.raises(InputError, match="its end is missing"):
        load(place("two.ogg", content + content[: len(content) // 2]))
    with pytest.raises(InputError, match="one rate and as many channels"):
        load(place("two.ogg", content + by_libsndfile(samples, "OGG", kind, rate=24_000)))


def test_tags_behind_a_flac_are_no_sound(flac: bytes, samples: np.ndarray, place: Place) -> None:
    for tag in (b"TAG" + bytes(125), bytes(40_000), b"\xff\xf8" * 30):
        assert len(load(place("tagged.flac", flac + tag))) == len(samples)
