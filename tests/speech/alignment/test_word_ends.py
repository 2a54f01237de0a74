"""Ends of words go on over sound that goes on, and stop before another sound."""

import numpy as np
import pytest

from smoltolk.speech.alignment.aligned_words import AlignedWord
from smoltolk.speech.alignment.word_ends import extend
from smoltolk.speech.pauses import sounding_frames

RATE = 16_000


def tone(seconds: float, *overtones: int) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    return np.mean([np.sin(2 * np.pi * frequency * at) for frequency in overtones], axis=0).astype(np.float32)


VOWEL, OTHER = (300, 700, 1200, 2500), (200, 2100, 2900, 3600)


def sound(behind: np.ndarray) -> np.ndarray:
    """Half a second of a vowel that fades for 0.2 s, then what is given, then a pause."""
    vowel = tone(0.7, *VOWEL)
    vowel[8_000:] *= np.linspace(1, 0.15, len(vowel) - 8_000, dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 1e-4, 48_000).astype(np.float32)
    waveform = np.concatenate([np.zeros(3_200, np.float32), vowel, behind, np.zeros(16_000, np.float32)])
    return waveform + noise[: len(waveform)]


def end_of(waveform: np.ndarray, following: float | None = None) -> float:
    words = [AlignedWord([("IY", 0.2, 0.7)], -2.0, 50)]
    if following is not None:
        words.append(AlignedWord([("N", following, following + 0.1)], -2.0, 10))
    extend(words, waveform, sounding_frames(waveform))
    return words[0].end


def test_a_fading_vowel_belongs_to_its_word() -> None:
    assert end_of(sound(np.zeros(0, np.float32))) == pytest.approx(0.9, abs=0.03)


def test_it_ends_where_the_next_word_begins() -> None:
    assert end_of(sound(np.zeros(0, np.float32)), following=0.8) == pytest.approx(0.8, abs=0.011)


def test_another_sound_is_another_word() -> None:
    assert end_of(sound(tone(0.4, *OTHER))) <= 0.93
    quiet = sound(np.zeros(0, np.float32))
    quiet[round(0.7 * RATE) :] = tone(len(quiet) / RATE - 0.7, *OTHER)[: len(quiet) - round(0.7 * RATE)]
    assert end_of(quiet) <= 0.73


def test_no_end_moves_by_more_than_a_third_of_a_second_nor_back() -> None:
    assert end_of(sound(tone(1.0, *VOWEL) * 0.15)) == pytest.approx(1.0, abs=0.011)
    silent = np.zeros(RATE, np.float32)
    assert end_of(silent) == 0.7


def test_the_last_word_may_end_with_the_recording() -> None:
    assert end_of(sound(np.zeros(0, np.float32))[: round(0.85 * RATE)]) == pytest.approx(0.85, abs=0.011)
