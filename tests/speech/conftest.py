"""Real speech, and units and a vocoder trained on it for seconds: enough for tests, not for ears."""

import numpy as np
import pytest

from smoltolk.speech.phone_encoder import LabelledSpeech, PhoneUnitTokenizer, fit_phone_units
from smoltolk.speech.synthesis import EspeakSynthesizer, Voice, espeak_available, voices
from smoltolk.speech.vocoder import Vocoder, fit_vocoder

SENTENCES = (
    "The red fox sat in the old garden.",
    "Tom gave a small box to his sister.",
    "Five birds were singing near the river.",
    "She could not find the yellow book.",
    "The teacher walked home with a heavy bag.",
    "A white horse jumped over the fence.",
    "My uncle bought fresh bread this morning.",
    "They played outside until it was dark.",
)
CLEAR = Voice("en-us", "m3", 160, 45)


def say(text: str, voice: Voice) -> LabelledSpeech:
    spoken = EspeakSynthesizer().speak(text, voice)
    return LabelledSpeech(spoken.waveform, spoken.phones)


@pytest.fixture(scope="session")
def speakers() -> list[Voice]:
    return [CLEAR, *voices(3, 0, "seen")]


@pytest.fixture(scope="session")
def labelled(speakers: list[Voice]) -> list[LabelledSpeech]:
    """Eight sentences in each of four voices, sentence by sentence."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    return [say(sentence, voice) for sentence in SENTENCES for voice in speakers]


@pytest.fixture(scope="session")
def tokenizer(labelled: list[LabelledSpeech]) -> PhoneUnitTokenizer:
    return fit_phone_units(labelled, steps=60, seed=0)


@pytest.fixture(scope="session")
def clear_speech(labelled: list[LabelledSpeech]) -> list[np.ndarray]:
    """The eight sentences in one voice."""
    return [utterance.waveform for utterance in labelled[::4]]


@pytest.fixture(scope="session")
def vocoder(clear_speech: list[np.ndarray], tokenizer: PhoneUnitTokenizer) -> Vocoder:
    return fit_vocoder(clear_speech, tokenizer.encode(clear_speech), tokenizer, steps=60, seed=0)
