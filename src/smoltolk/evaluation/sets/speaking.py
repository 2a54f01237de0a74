"""Texts of small sets as recordings, and what SALMon does to recordings: other voices, rooms, backgrounds and moods."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from smoltolk.common.seeds import generator
from smoltolk.speech.audio import SAMPLE_RATE, save
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Voice
from smoltolk.speech.synthesis.spoken import Spoken

BACKGROUNDS = ("rain", "wind", "hum", "birds")
_LEVEL = 0.03  # RMS of a background
_PEAK = 0.95
# The mood of a voice, as far as a synthesizer has one: words a minute and pitch.
_MOODS = {"lively": (45, 25), "sad": (-35, -20)}


class Speaking:
    """Speaks in the voices of a set.

    Args:
        voices: two or more; what is spoken takes them in turns.
    """

    def __init__(self, voices: Sequence[Voice]):
        self.voices = list(voices)
        self._synthesizer = EspeakSynthesizer()
        self.num_spoken, self.seconds = 0, 0.0

    def voice(self, number: int) -> Voice:
        """They take turns."""
        return self.voices[number % len(self.voices)]

    def spoken(self, text: str, voice: Voice) -> Spoken:
        """A text in a voice, with its phones."""
        return self._synthesizer.speak(text, voice)

    def say(self, text: str, voice: Voice) -> np.ndarray:
        """A text in a voice, float32 [samples], 16 kHz."""
        return self.spoken(text, voice).waveform

    def write(self, path: Path, waveform: np.ndarray) -> None:
        """A recording as a file; what is too loud becomes softer as a whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, within(waveform), SAMPLE_RATE)
        self.count(len(waveform) / SAMPLE_RATE)

    def file(self, waveform: np.ndarray) -> bytes:
        """A recording as the bytes of a wav file."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "sound.wav"
            self.write(path, waveform)
            return path.read_bytes()

    def count(self, seconds: float, recordings: int = 1) -> None:
        """So many more recordings, of so many seconds in all."""
        self.num_spoken += recordings
        self.seconds += seconds


def within(waveform: np.ndarray) -> np.ndarray:
    """Softer where it would be cut off."""
    peak = float(np.abs(waveform).max(initial=0.0))
    return (waveform * (_PEAK / peak) if peak > _PEAK else waveform).astype(np.float32)


def in_mood(voice: Voice, mood: str) -> Voice:
    """A voice that is ``lively`` (faster and higher) or ``sad`` (slower and lower)."""
    rate, pitch = _MOODS[mood]
    return replace(voice, rate=min(max(voice.rate + rate, 80), 450), pitch=min(max(voice.pitch + pitch, 0), 100))


def is_female(voice: Voice) -> bool:
    """Whether a variant of espeak-ng is a woman's voice."""
    return voice.variant in ("anika", "steph", "belinda", "linda", "Annie", "Alicia") or voice.variant.startswith("f")


def background(name: str, samples: int, seed: int) -> np.ndarray:
    """Sound behind speech, float32 [samples]: rain, wind, the hum of a machine, or birds; made, not recorded."""
    random = generator(seed, "background", name)
    time = np.arange(samples) / SAMPLE_RATE
    noise = random.standard_normal(samples)
    if name == "rain":
        sound = sosfilt(butter(2, 2000, "highpass", fs=SAMPLE_RATE, output="sos"), noise)
    elif name == "wind":
        sound = sosfilt(butter(2, 300, "lowpass", fs=SAMPLE_RATE, output="sos"), noise)
        sound *= 1 + 0.8 * np.sin(2 * np.pi * 0.4 * time + random.uniform(0, 6))
    elif name == "hum":
        sound = sum((np.sin(2 * np.pi * 100 * k * time) / k for k in (1, 2, 3, 5)), np.zeros(samples))
    else:
        sound = 0.02 * noise
        for start in random.uniform(0, max(time[-1], 0.01), max(2, int(3 * time[-1]))):
            here = (time > start) & (time < start + 0.15)
            sound[here] += np.sin(2 * np.pi * (3000 + 6000 * (time[here] - start)) * time[here])
    return (_LEVEL * sound / max(float(np.sqrt(np.mean(sound**2))), 1e-9)).astype(np.float32)


def in_room(waveform: np.ndarray, seconds: float, seed: int) -> np.ndarray:
    """Speech in a room whose echo fades by 60 dB in so many seconds; as long as it was."""
    random = generator(seed, "room", str(seconds))
    samples = int(seconds * SAMPLE_RATE)
    echo = random.standard_normal(samples) * np.exp(-6.9 * np.arange(samples) / samples)
    echo *= 0.5 / max(float(np.sqrt(np.sum(echo**2))), 1e-9)
    return (waveform + fftconvolve(waveform, echo)[: len(waveform)]).astype(np.float32)
