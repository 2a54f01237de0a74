import hashlib
from itertools import pairwise, product

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.workers import parallel_map
from smoltolk.speech.phones import PHONES
from smoltolk.speech.synthesis.espeak_synthesis import (
    PAUSE_SECONDS,
    EspeakSynthesizer,
    Spoken,
    Voice,
    espeak_available,
    voices,
)
from smoltolk.speech.synthesis.voices import ACCENTS

pytestmark = pytest.mark.skipif(not espeak_available(), reason="needs the extra 'tts'")

TEXT = "The old fox lives in the deep forest. It was cold, and the river was frozen! Was it his?"
FUNCTION_WORDS = "the a in on at of to and it is was were be been i you he that this who has had do not so as if"
RARE = "cartagena meghan aristocracy huette belva shutters chebyshev calabasas desrosier majolica peonies xu nguyen"


def speak(text: str, voice: Voice = Voice()) -> Spoken:  # noqa: B008 (a constant)
    return EspeakSynthesizer().speak(text, voice)


def digest(item: tuple[str, Voice]) -> str:
    spoken = speak(*item)
    return hashlib.sha256(spoken.waveform.tobytes() + repr((spoken.words, spoken.phones)).encode()).hexdigest()


def test_every_token_has_its_segment_in_order() -> None:
    text = "Mr. Fox, it was 1984 \u2014 in the end-of-year sale he'd paid $2.50 "
    text += "for 21 apples at 3:05. \u201cWhy?\u201d said Ann!"
    words = speak(text).words
    assert [word.text for word in words] == text.split()
    assert all(word.start < word.end for word in words if word.text != "\u2014")
    assert all(one.end <= next_one.start for one, next_one in pairwise(words))


@pytest.mark.parametrize("accent", ACCENTS)
def test_pairs_and_rare_words_all_have_times_and_phones(accent: str) -> None:
    words = FUNCTION_WORDS.split()
    pairs = [word for pair in product(words, words[::5]) for word in pair]
    for text in (" ".join(pairs), RARE):
        spoken = speak(text, Voice(accent, rate=400))
        assert [word.text for word in spoken.words] == text.split()
        assert min(word.end - word.start for word in spoken.words) > 0.01


def test_phones_tile_the_waveform() -> None:
    for voice in voices(4, 0, "seen"):
        spoken = speak(TEXT, voice)
        assert spoken.phones[0].start == 0
        assert spoken.phones[-1].end == pytest.approx(len(spoken.waveform) / spoken.sample_rate, abs=1e-6)
        assert all(one.end == two.start for one, two in pairwise(spoken.phones))
        assert {phone.text for phone in spoken.phones} <= set(PHONES)
        assert all(one.start < one.end for one in spoken.phones)


def test_words_and_phones_share_their_boundaries() -> None:
    spoken = speak(TEXT)
    edges = {phone.start for phone in spoken.phones} | {phone.end for phone in spoken.phones}
    assert all({word.start, word.end} <= edges for word in spoken.words)


def test_the_sound_is_where_the_words_are() -> None:
    spoken = speak(TEXT)
    inside = np.zeros(len(spoken.waveform), dtype=bool)
    for word in spoken.words:
        inside[round(word.start * 16_000) : round(word.end * 16_000)] = True
    energy = spoken.waveform**2
    assert energy[~inside].sum() < 0.01 * energy.sum()
    assert 0.05 < np.abs(spoken.waveform).max() <= 1
    assert not spoken.waveform[-int(PAUSE_SECONDS * 16_000) :].any()


def test_speech_of_a_text_begins_the_speech_of_a_longer_one() -> None:
    short, long = speak("The fox is old."), speak("The fox is old. It sleeps.")
    assert np.array_equal(long.waveform[: len(short.waveform)], short.waveform)
    assert long.words[:4] == short.words


def test_the_same_bytes_in_any_process_and_any_order() -> None:
    items = [("A red lamp stood near the well.", voice) for voice in voices(12, 0, "seen") + voices(8, 0, "unseen")]
    here = [digest(item) for item in items]
    there = list(parallel_map(digest, items[::-1], workers=2))
    assert here == there[::-1]
    assert len(set(here)) == len(items)


def test_sentences_longer_than_the_buffer_lose_no_word() -> None:
    text = " ".join(["the old fox lives in a house"] * 60)
    assert [word.text for word in speak(text).words] == text.split()


@pytest.mark.parametrize("text", ["", "  ", "... \u2014 !"])
def test_nothing_to_say_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="must have a word"):
        speak(text)


def test_other_scripts_and_unknown_variants_are_errors() -> None:
    with pytest.raises(InputError, match="Latin"):
        speak("hello мир")
    with pytest.raises(InputError, match="the variant must be one"):
        speak("hello", Voice("en-us", "nosuch"))
