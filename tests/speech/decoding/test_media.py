"""What phones, browsers and cameras record: it begins where the original does, and cut files are refused or told of."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import load, load_stretch, measure

Place, Make = Callable[[str, bytes], Path], Callable[..., bytes]
# Name -> codec, container, rate, and how many samples later it begins: where the container keeps no note of what the
# encoder put in front, nobody can know.
KINDS = {
    "a.m4a": ("aac", "ipod", 16_000, 0),
    "b.m4a": ("aac", "ipod", 44_100, 0),
    "c.m4a": ("alac", "ipod", 16_000, 0),
    "a.mp4": ("aac", "mp4", 48_000, 0),
    "a.webm": ("libopus", "webm", 48_000, 0),
    "a.mka": ("flac", "matroska", 16_000, 0),
    "a.opus": ("libopus", "ogg", 48_000, 0),
    "a.mov": ("pcm_s16le", "mov", 16_000, 0),
    "a.aac": ("aac", "adts", 16_000, 1024),
    "a.amr": ("libopencore_amrnb", "amr", 8_000, 40),
    "a.3gp": ("libopencore_amrnb", "3gp", 8_000, -10),
    "a.wma": ("wmav2", "asf", 44_100, -2048),
    "a.avi": ("libmp3lame", "avi", 16_000, 1105),
    "a.g722": ("g722", "g722", 16_000, 22),
}
# What tells how long it is; the rest ends where its packets end.
TELLING = ("a.m4a", "c.m4a", "a.mp4", "a.webm", "a.mka", "a.opus", "a.mov", "a.3gp", "a.wma", "a.avi")


def near(found: np.ndarray, expected: np.ndarray, error: float) -> bool:
    return found.shape == expected.shape and bool((np.abs(found - expected) <= error).all())


@pytest.fixture(scope="module")
def samples(noise: Callable[..., np.ndarray]) -> np.ndarray:
    return noise(3.0)


@pytest.fixture(scope="module")
def files(samples: np.ndarray, by_ffmpeg: Make) -> dict[str, bytes]:
    def encoded(codec: str, container: str, rate: int, _: int) -> bytes:
        at_rate = soxr.resample(samples, 16_000, rate).astype(np.float32)
        return by_ffmpeg(at_rate, codec, container, rate)

    return {name: encoded(*kind) for name, kind in KINDS.items()}


@pytest.mark.parametrize("name", KINDS)
def test_it_begins_where_the_original_does(
    files: dict[str, bytes], samples: np.ndarray, place: Place, lag: Callable[..., int], name: str
) -> None:
    path = place(name, files[name])
    _, _, rate, late = KINDS[name]
    found = load(path, rate)
    original = soxr.resample(samples, 16_000, rate).astype(np.float32)
    assert abs(lag(original, found) - late) <= 2 and measure(path).sample_rate == rate
    assert -2_100 <= len(found) - len(original) <= 2_100
    assert measure(path).num_samples == len(found)
    same = min(len(found), len(original)) - 2_200
    assert np.corrcoef(found[max(0, late) :][:same], original[max(0, -late) :][:same])[0, 1] > 0.65
    assert near(load_stretch(path, 1.0, 0.5, sample_rate=rate), found[rate : rate + rate // 2], 0.02)


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_cut_anywhere(files: dict[str, bytes], place: Place, data: st.DataObject, name: str) -> None:
    content = files[name]
    cut = data.draw(st.integers(0, len(content)))
    try:
        found = measure(place(name, content[:cut]), decode=True)
    except InputError:
        return
    if name in TELLING:
        # webm and mka: half a second, as a film's last picture has no length
        assert found.seconds > (2.3 if name in ("a.webm", "a.mka") else 2.75)
    else:
        assert found.seconds > 3.0 * cut / len(content) - 0.4


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_damage_is_refused_or_decoded(files: dict[str, bytes], place: Place, data: st.DataObject, name: str) -> None:
    content = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content) - 1, 600)) | st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255)
        )
    with contextlib.suppress(InputError):
        assert np.isfinite(load(place(name, bytes(content)))).all()


def test_a_browser_does_not_know_how_long_it_will_be(samples: np.ndarray, by_ffmpeg: Make, place: Place) -> None:
    path = place("live.webm", by_ffmpeg(np.repeat(samples, 3), "libopus", "webm", 48_000, live="1"))
    assert measure(path).num_samples == 3 * len(samples)
    parts = by_ffmpeg(samples, "aac", "mp4", 16_000, movflags="frag_keyframe+empty_moov", frag_duration="500000")
    assert 3.0 <= measure(place("parts.mp4", parts)).seconds < 3.2


def test_an_index_in_front_promises(samples: np.ndarray, by_ffmpeg: Make, place: Place) -> None:
    content = by_ffmpeg(samples, "aac", "ipod", movflags="faststart")
    assert content.index(b"moov") < content.index(b"mdat")
    with pytest.raises(InputError, match="must be whole"):
        load(place("front.m4a", content[: -len(content) // 3]))


def test_the_sound_of_a_film(samples: np.ndarray, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        pictures, sound = out.add_stream("mpeg4", rate=10), out.add_stream("aac", rate=16_000, layout="mono")
        pictures.width = pictures.height = 32
        for number in range(30):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 8 * number, np.uint8), format="rgb24")
            picture.pts = number
            out.mux(pictures.encode(picture))
        frame = av.AudioFrame.from_ndarray((samples * 32_767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        out.mux(pictures.encode(None))
    found = load(path)
    assert np.corrcoef(found[:40_000], samples[:40_000])[0, 1] > 0.8
    silent = tmp_path / "silent.mp4"
    with av.open(str(silent), "w") as out:
        pictures = out.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        out.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        out.mux(pictures.encode(None))
    with pytest.raises(InputError, match="holds no sound"):
        load(silent)
