"""Sounds of a synthesizer, to be laid out as the originals are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smoltolk.speech.audio import save
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, espeak_available


@pytest.fixture(scope="session")
def waveforms() -> dict[str, np.ndarray]:
    """Three short texts, spoken."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    synthesizer = EspeakSynthesizer()
    (voice,) = synthesizer.voices(1, 0, "seen")
    return {text: synthesizer.speak(text, voice).waveform for text in ("a dog", "Anna eats", "rain")}


@pytest.fixture(scope="session")
def say(waveforms: dict[str, np.ndarray]) -> Callable[..., Path]:
    """``say(path, text="a dog")``: write one of the recordings."""

    def write(path: Path, text: str = "a dog") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, waveforms[text])
        return path

    return write


@pytest.fixture(scope="session")
def write_parquet(waveforms: dict[str, np.ndarray]) -> Callable[..., Path]:
    """``write_parquet(path, sounds=("positive",), texts={"answer": [..]}, rows=2)``, as the datasets library does."""

    def write(path: Path, sounds: Sequence[str], texts: dict[str, list[Any]] | None = None, rows: int = 2) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Any] = {}
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        for number, name in enumerate(sounds):
            cells = []
            for row in range(rows):
                place = path.parent / "x.wav"
                save(place, waveforms[list(waveforms)[(row + number) % 3]])
                cells.append({"bytes": place.read_bytes(), "path": f"{row}.wav"})
                place.unlink()
            columns[name] = pa.array(cells, kind)
        columns |= texts or {}
        pq.write_table(pa.table(columns), path)
        return path

    return write
