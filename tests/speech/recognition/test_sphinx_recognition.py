import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.recognition.recognisers import PocketsphinxJudge, error_rate, transcribe_all
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, espeak_available, voices

TEXTS = [
    "The old fox lives in the deep forest. It was cold, and the river was frozen.",
    "Anna found 21 red lamps near the well. She gave them to her brother.",
    "In Blorptown a lizard eats only mushrooms. So they buy some.",
    "Then the teacher walked home with a heavy bag. It's late.",
]


@pytest.fixture(scope="module")
def judge() -> PocketsphinxJudge:
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    return PocketsphinxJudge(TEXTS)


@pytest.fixture(scope="module")
def spoken() -> list[np.ndarray]:
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    speakers = voices(4, 0, "seen")
    return [EspeakSynthesizer().speak(text, voice).waveform for text, voice in zip(TEXTS, speakers, strict=True)]


def test_the_judge_hears_what_was_said(judge: PocketsphinxJudge, spoken: list[np.ndarray]) -> None:
    heard = [judge.transcribe(waveform) for waveform in spoken]
    assert error_rate(TEXTS, heard).wer < 0.15
    # A function of the waveform: neither the order nor the process matters.
    assert [judge.transcribe(waveform) for waveform in spoken[::-1]][::-1] == heard
    assert transcribe_all(spoken, TEXTS, workers=1) == heard


def test_noise_is_not_understood(judge: PocketsphinxJudge, spoken: list[np.ndarray]) -> None:
    backwards = [np.ascontiguousarray(waveform[::-1]) for waveform in spoken]
    assert error_rate(TEXTS, [judge.transcribe(waveform) for waveform in backwards]).wer > 0.6


def test_silence_is_no_crash_nothing_is_refused(judge: PocketsphinxJudge) -> None:
    assert len(judge.transcribe(np.zeros(16_000, dtype=np.float32)).split()) <= 3
    with pytest.raises(InputError, match="at least one sample"):
        judge.transcribe(np.zeros(0, dtype=np.float32))
    with pytest.raises(InputError, match="must be finite"):
        judge.transcribe(np.array([np.nan], dtype=np.float32))


def test_a_judge_needs_words() -> None:
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    with pytest.raises(InputError, match="texts with words"):
        PocketsphinxJudge(["...", ""])


def test_no_waveforms_give_no_transcripts() -> None:
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    assert transcribe_all([], TEXTS) == []
