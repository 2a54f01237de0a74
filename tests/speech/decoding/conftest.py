"""Sound in every format, made by encoders of other libraries than those that read it where there are two.

Most of what is here are functions, as fixtures: tests of properties call them again and again.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16_000
Encode = Callable[..., bytes]


def _noise(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate) + 8)
    smooth = np.convolve(samples, np.hanning(9) / 4, "valid")
    return (0.2 * smooth * (0.6 + 0.4 * np.sin(np.arange(len(smooth)) / rate * 9))).astype(np.float32)


@pytest.fixture(scope="session")
def noise() -> Callable[..., np.ndarray]:
    """Seconds (at a rate, of a seed) of something like speech to a codec: low noise that swells."""
    return _noise


@pytest.fixture(scope="session")
def by_libsndfile() -> Encode:
    """Samples -> a file of a kind and a subtype, made by libsndfile."""

    def encode(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = RATE) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=kind, subtype=subtype)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def by_ffmpeg(tmp_path_factory: pytest.TempPathFactory) -> Encode:
    """Mono samples -> a file of a codec in a container, made by FFmpeg's encoders."""
    av = pytest.importorskip("av", reason="needs the extra 'media'")
    path = tmp_path_factory.mktemp("encoded") / "file"

    def encode(samples: np.ndarray, codec: str, container: str, rate: int = RATE, **options: str) -> bytes:
        with av.open(str(path), "w", format=container, options=options) as out:
            stream = out.add_stream(codec, rate=rate)
            stream.layout = "mono"
            stream.bit_rate = 12_200 if "amr" in codec else 48_000
            integers = np.round(samples * 32_767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(integers, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path.read_bytes()

    return encode


@pytest.fixture(scope="session")
def decoded_by_ffmpeg() -> Callable[..., np.ndarray]:
    """The bytes of a file -> mono samples as FFmpeg decodes them; it passes over packets that it cannot decode."""
    av = pytest.importorskip("av", reason="needs the extra 'media'")

    def decode(content: bytes, container: str | None = None) -> np.ndarray:
        def samples() -> Iterator[np.ndarray]:
            with av.open(io.BytesIO(content), "r", format=container, metadata_errors="replace") as file:
                for packet in file.demux(audio=0):
                    try:
                        frames = packet.decode()
                    except av.FFmpegError:
                        continue
                    for frame in frames:
                        held = frame.to_ndarray()
                        integer = np.issubdtype(held.dtype, np.integer)
                        yield (held / -float(np.iinfo(held.dtype).min) if integer else held)[0]

        return np.concatenate([np.zeros(0), *samples()]).astype(np.float32)

    return decode


@pytest.fixture(scope="session")
def lag() -> Callable[[np.ndarray, np.ndarray], int]:
    """How many samples the second is later than the first."""

    def between(first: np.ndarray, second: np.ndarray) -> int:
        size = 2 * max(len(first), len(second))
        found = np.fft.irfft(np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size)), size)
        at = int(found.argmax())
        return at if at < size // 2 else at - size

    return between


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bytes], Path]:
    """Write a file, over the one that was called so before."""
    folder = tmp_path_factory.mktemp("sounds")

    def write(name: str, content: bytes) -> Path:
        path = folder / name
        path.unlink(missing_ok=True)  # to write over it may wait for the disk
        path.write_bytes(content)
        return path

    return write
