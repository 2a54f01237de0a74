"""Mp3: joined, cut, behind tags of any kind, with notes that lie: all frames come out at their place, or none."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import load, load_stretch, measure

Place, Make = Callable[[str, bytes], Path], Callable[..., bytes]
RATE, FRAME = 16_000, 576
KINDS = ("constant", "variable", "bare")
# What a search for tags and frames could stumble over.
TRAPS = st.sampled_from(
    (b"Xing\0\0\0\x01\0\0\0\x01", b"Info", b"VBRI", b"\xff\xf3\x88\xc4", b"\xff\xfb\x90\x00", b"RIFF")
)
BODIES = st.tuples(st.integers(0, 150_000), st.lists(TRAPS | st.binary(max_size=30), max_size=4)).map(
    lambda drawn: b"".join(drawn[1]) + bytes(drawn[0])
)


def near(found: np.ndarray, expected: np.ndarray, error: float) -> bool:
    return found.shape == expected.shape and bool((np.abs(found - expected) <= error).all())


@pytest.fixture(scope="module")
def samples(noise: Callable[..., np.ndarray]) -> np.ndarray:
    return noise(2.0)


@pytest.fixture(scope="module")
def mp3s(samples: np.ndarray, by_ffmpeg: Make, by_libsndfile: Make) -> dict[str, bytes]:
    """With a note of constant and of variable bit rates, and without a note."""
    variable = by_libsndfile(samples, "MP3")
    assert b"Xing" in variable[:64]
    constant = by_ffmpeg(samples, "libmp3lame", "mp3", id3v2_version="0", write_xing="1")
    assert b"Info" in constant[:64]
    return {"constant": constant, "variable": variable, "bare": variable[288:]}


def id3(body: bytes) -> bytes:
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + body


def ape(body: bytes) -> bytes:
    return b"APETAGEX" + struct.pack("<IIII", 2000, len(body), 1, 1 << 31) + bytes(8) + body


def count_at(content: bytes) -> int:
    return max(content[:64].find(b"Xing"), content[:64].find(b"Info")) + 8


@pytest.mark.parametrize("kind", KINDS[:2])
def test_the_same_as_libsndfile_and_ffmpeg(
    mp3s: dict[str, bytes], samples: np.ndarray, place: Place, decoded_by_ffmpeg: Callable[..., np.ndarray], kind: str
) -> None:
    path = place("a.mp3", mp3s[kind])
    found, there = load(path), decoded_by_ffmpeg(mp3s[kind])
    assert len(found) == len(samples) == measure(path).num_samples and np.corrcoef(found, samples)[0, 1] > 0.99
    assert near(found, soundfile.read(path, dtype="float32")[0], 1e-6)
    assert near(found, there[: len(found)], 1e-3)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    front=st.lists(BODIES, max_size=2),
    behind=st.sampled_from((b"", b"TAG" + bytes(125), ape(b"x" * 99))),
)
def test_tags_are_no_sound(mp3s: dict[str, bytes], place: Place, kind: str, front: list[bytes], behind: bytes) -> None:
    plain = load(place("plain.mp3", mp3s[kind]))
    path = place("tagged.mp3", b"".join(map(id3, front)) + mp3s[kind] + behind)
    assert near(load(path), plain, 1e-6) and measure(path).num_samples == len(plain)
    assert near(load_stretch(path, 1.0, 0.5), plain[RATE : RATE + RATE // 2], 2e-3)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS[:2]), count=st.integers(0, 200) | st.integers(0, 2**32 - 1), front=BODIES)
def test_notes_that_lie(
    mp3s: dict[str, bytes], samples: np.ndarray, place: Place, kind: str, count: int, front: bytes
) -> None:
    at = count_at(mp3s[kind])
    path = place("lies.mp3", id3(front) + mp3s[kind][:at] + struct.pack(">I", count) + mp3s[kind][at + 4 :])
    true = struct.unpack(">I", mp3s[kind][at : at + 4])[0]
    if (count - true - 1) * FRAME > 0.1 * RATE:
        for read in (load, measure):
            with pytest.raises(InputError, match="must be whole"):
                read(path)
    else:
        found = load(path)
        assert len(samples) <= len(found) <= len(samples) + 2 * FRAME
        assert np.corrcoef(found[: len(samples)], samples)[0, 1] > 0.99


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(KINDS), BODIES)
def test_cut_anywhere(mp3s: dict[str, bytes], place: Place, data: st.DataObject, kind: str, front: bytes) -> None:
    content = mp3s[kind]
    cut = data.draw(st.integers(0, len(content) - 1))
    plain = load(place("plain.mp3", content))
    try:
        found = load(place("cut.mp3", id3(front) + content[:cut]))
    except InputError:
        return
    assert near(found[:-FRAME], plain[: len(found) - FRAME], 1e-3)
    if kind == "bare":  # it promises nothing: all whole frames come out
        assert len(found) >= (len(plain) - FRAME) * cut / len(content) * 0.8 - 3 * FRAME
    else:
        assert len(found) >= len(plain) - 0.1 * RATE


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.none() | BODIES), min_size=2, max_size=4))
def test_joined_parts_are_taken_whole(
    mp3s: dict[str, bytes],
    samples: np.ndarray,
    place: Place,
    lag: Callable[..., int],
    parts: list[tuple[str, bytes | None]],
) -> None:
    content = b"".join((b"" if tag is None else id3(tag)) + mp3s[kind] for kind, tag in parts)
    path = place("joined.mp3", content)
    found = load(path)
    frames = -(-(len(samples) + 1105) // FRAME)
    delay = 529 if parts[0][0] == "bare" else 1105
    assert abs(len(found) - (len(parts) * frames * FRAME - delay)) <= 2 * len(parts) * FRAME
    assert measure(path).num_samples == len(found)
    last = found[-frames * FRAME :]
    assert (
        np.corrcoef(samples[:20_000], last[1105 : 1105 + 20_000])[0, 1] > 0.95
        or abs(lag(samples, last) - 1105) <= 2 * FRAME
    )
    if parts[-1][0] != "bare":
        with pytest.raises(InputError, match="must be whole"):
            load(place("joined.mp3", content[: -len(mp3s[parts[-1][0]]) // 2]))


def test_parts_of_other_rates_and_holes_are_refused(
    mp3s: dict[str, bytes], noise: Callable[..., np.ndarray], place: Place, by_libsndfile: Make
) -> None:
    other = by_libsndfile(noise(1.0, 24_000), "MP3", rate=24_000)
    with pytest.raises(InputError, match="16000 Hz, 1, then 24000 Hz, 1"):
        load(place("rates.mp3", mp3s["bare"] + other))
    half = len(mp3s["bare"]) // 2
    with pytest.raises(InputError, match="between its frames"):
        load(place("hole.mp3", mp3s["bare"][:half] + bytes(4_000) + mp3s["bare"][half:]))


@pytest.mark.parametrize(
    "content", [b"one two three\n" * 500, b"\xff" * 5_000, id3(b"only a tag"), id3(b"")[:8], b"\xff\xf3"]
)
def test_no_frames(place: Place, content: bytes) -> None:
    with pytest.raises(InputError, match=r"must be audio|must have samples"):
        load(place("none.mp3", content))
