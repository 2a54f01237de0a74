"""How fast recordings are read, by our reader and by PyAV alone, and whether what they read begins where it should.

    python benchmarks/audio.py [--files 2000] [--rounds 3]

Sound is noise that swells, 3 to 7 s a file at 16 kHz; "ms" is processor time of one thread for a file, the median of
the rounds, in which the candidates take turns, and "x" is times real time. "late" is by how many samples the decoded
sound begins after the original (cross-correlation), "longer" by how many it is longer. Needs the extra ``media``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from smoltolk.speech.audio import SAMPLE_RATE, load

_SHORT = ("flac", "wav", "mp3", "ogg")
_ENCODERS = {  # name -> codec, container, rate
    "mp3 of LAME": ("libmp3lame", "mp3", 44_100),
    "m4a (AAC)": ("aac", "ipod", 44_100),
    "m4a (ALAC)": ("alac", "ipod", 16_000),
    "webm (Opus)": ("libopus", "webm", 48_000),
    "ogg (Opus)": ("libopus", "ogg", 48_000),
    "aac (ADTS)": ("aac", "adts", 44_100),
    "amr": ("libopencore_amrnb", "amr", 8_000),
    "wma": ("wmav2", "asf", 44_100),
    "g722": ("g722", "g722", 16_000),
}


def noise(seconds: float, seed: int) -> np.ndarray:
    """float32 at 16 kHz."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE) + 8)
    smooth = np.convolve(samples, np.hanning(9) / 4, "valid")
    return (0.2 * smooth * (0.6 + 0.4 * np.sin(np.arange(len(smooth)) / SAMPLE_RATE * 9))).astype(np.float32)


def by_pyav(path: Path) -> np.ndarray:
    """Mono float samples at the file's own rate, by FFmpeg's decoder alone."""
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    samples = np.concatenate(frames)
    return samples / np.float32(32_768) if samples.dtype == np.int16 else samples


def encode(path: Path, samples: np.ndarray, codec: str, container: str, rate: int) -> None:
    """Write a file with FFmpeg's encoder."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout, stream.bit_rate = "mono", 12_200 if "amr" in codec else 64_000
        frame = av.AudioFrame.from_ndarray(np.round(samples * 32_767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts = rate, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def lag(first: np.ndarray, second: np.ndarray) -> int:
    """Samples by which the second is later."""
    size = 2 * max(len(first), len(second))
    at = int(np.fft.irfft(np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size)), size).argmax())
    return at if at < size // 2 else at - size


def short_files(folder: Path, count: int, rounds: int) -> None:
    """Tell how long many short files take."""
    sounds = [noise(3 + k % 5, k) for k in range(min(count, 50))]
    seconds = sum(len(sounds[k % len(sounds)]) for k in range(count)) / SAMPLE_RATE
    for kind in _SHORT:
        paths = [folder / f"{k}.{kind}" for k in range(count)]
        for k, path in enumerate(paths):
            soundfile.write(path, sounds[k % len(sounds)], SAMPLE_RATE)
        candidates: dict[str, Callable[[Path], np.ndarray]] = {"load": load, "PyAV": by_pyav}
        candidates["soundfile"] = lambda path: soundfile.read(path, dtype="float32")[0]
        taken: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(rounds):
            for name, read in candidates.items():
                start = time.process_time()
                for path in paths:
                    read(path)
                taken[name].append(time.process_time() - start)
        for name, times in taken.items():
            took = statistics.median(times)
            print(
                f"{count} {kind} files, {name:10s} {1000 * took / count:6.2f} ms a file, {seconds / took:7.0f} x",
                flush=True,
            )
        for path in paths:
            path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, (codec, container, rate) in _ENCODERS.items():
            original = soxr.resample(noise(60, 0), SAMPLE_RATE, rate).astype(np.float32)
            path = folder / f"a.{container if container != 'ipod' else 'm4a'}"
            encode(path, original, codec, container, rate)
            start = time.process_time()
            found = load(path, rate)
            took = time.process_time() - start
            late, longer = lag(original, found), len(found) - len(original)
            print(f"{name:12s} {rate:6d} Hz: {late:5d} late, {longer:5d} longer, {60 / took:6.0f} x", flush=True)
        short_files(folder, arguments.files, arguments.rounds)


if __name__ == "__main__":
    main()
