"""The way from posteriors to words, with posteriors made of a synthesizer's own times."""

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligners import aligner_named
from smoltolk.speech.alignment.ctc_alignment import LONGEST_SECONDS, CtcAligner
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Spoken, Voice, espeak_available

TEXT = "The old fox lives in the deep forest. It was cold, and the river was frozen."


@pytest.fixture(scope="module")
def aligner(ctc_dir: Path) -> CtcAligner:
    return CtcAligner(str(ctc_dir), device="cpu")


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    return EspeakSynthesizer().speak(TEXT, Voice("en-us", "m3", 160, 45))


class Knowing:
    """A model that hears every letter of the true words, one after the other."""

    hop, blank = 320, 0

    def __init__(self, aligner: CtcAligner, spoken: Spoken, text: str):
        encoded = aligner._vocabulary.encode(text)
        self.frames = np.full((len(spoken.waveform) // self.hop, 32), 0.01)
        said = np.zeros(len(self.frames), int)
        for index, word in enumerate(spoken.words):
            own = encoded.ids[encoded.owners == index]
            borders = np.linspace(word.start, word.end, 4 * len(own) + 1) * 16_000 / self.hop
            for place, one in enumerate(own):  # on in its middle only, so that double letters have a blank between
                first, behind = (round(borders[4 * place + quarter]) for quarter in (1, 3))
                said[first : max(first + 1, behind)] = one
        self.frames[np.arange(len(said)), said] = 0.69

    def __call__(self, waveforms, sample_rate=16_000):
        return [np.log(self.frames).astype(np.float32) for _ in waveforms]


def test_words_are_where_the_posteriors_say(
    aligner: CtcAligner, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligner, "_emissions", Knowing(aligner, spoken, TEXT))
    found = aligner.align(spoken.waveform, TEXT)
    starts = [abs(a.start - b.start) for a, b in zip(found.words, spoken.words, strict=True)]
    assert np.mean(starts) <= 0.02 and max(starts) <= 0.05
    assert found.confidence > aligner.lowest_confidence and min(found.confidences) > 0.6
    assert np.exp(found.score) == pytest.approx(0.69, abs=0.03)
    wrong = aligner.align(spoken.waveform, "Several windows were broken during the storm last winter by a bird.")
    assert wrong.confidence < aligner.lowest_confidence < found.confidence
    # A word of unknown letters lies between its neighbours, and nothing speaks for it.
    tokens = TEXT.split()
    tokens[2] = "\u0436\u0443\u043a"
    starred = aligner.align(spoken.waveform, " ".join(tokens))
    assert starred.unknown == ("\u0436", "\u0443", "\u043a") and starred.confidences[2] == 0
    assert abs(starred.words[3].start - spoken.words[3].start) < 0.05
    assert spoken.words[2].start - 0.1 < starred.words[2].start < spoken.words[2].end


def test_every_token_has_its_segment_in_order(aligner: CtcAligner, spoken: Spoken) -> None:
    text = "Zyx's 21 — caf\u00e9s"
    found = aligner.align(spoken.waveform, text)
    assert [word.text for word in found.words] == text.split() and found.phones == ()
    assert all(a.start <= a.end <= b.start for a, b in pairwise(found.words))
    assert found.words[-1].end <= len(spoken.waveform) / 16_000
    assert found.words[2].start == found.words[2].end and np.isnan(found.confidences[2]) and np.isnan(found.scores[2])
    assert all(0 <= one <= 1 for one in found.confidences if not np.isnan(one))
    assert all(type(word.start) is float for word in found.words)


def test_alone_in_a_batch_and_after_a_journey(aligner: CtcAligner, spoken: Spoken) -> None:
    alone = aligner.align(spoken.waveform, TEXT)
    answers = aligner.align_batch([spoken.waveform, spoken.waveform[:4_000], spoken.waveform], [TEXT, TEXT, "..."])
    assert answers[0].words == alone.words
    assert isinstance(answers[1], InputError) and "long enough" in str(answers[1])
    assert isinstance(answers[2], InputError) and "must have a word" in str(answers[2])
    again = pickle.loads(pickle.dumps(aligner))  # noqa: S301 - our own bytes
    assert again.align(spoken.waveform, TEXT).words == alone.words
    half = aligner.align(spoken.waveform[::2], TEXT, sample_rate=8_000)
    assert len(half.words) == len(alone.words)


def test_bad_input(aligner: CtcAligner) -> None:
    long = np.broadcast_to(np.float32(0), (LONGEST_SECONDS + 1) * 16_000)
    for waveform, text, message in (
        (np.zeros(0, np.float32), "hello", "mono"),
        (np.full(9_000, np.inf, np.float32), "hello", "finite"),
        (np.zeros(16_000, np.float32), " — ", "must have a word"),
        (long, "hello", "3600 s at most"),
    ):
        with pytest.raises(InputError, match=message):
            aligner.align(waveform, text)


def test_the_factory_finds_it(ctc_dir: Path) -> None:
    assert isinstance(aligner_named(str(ctc_dir)), CtcAligner)
    with pytest.raises(InputError, match="finds words, no phones"):
        aligner_named(str(ctc_dir), phones=True)


READ = [
    ("the old train 1234 left Oslo", "the old train twelve-thirty-four left Oslo"),
    ("the old train 1234 left Oslo", "the old train one-two-three-four left Oslo"),
    ("the old train 1234 left Oslo", "the old train one-thousand-two-hundred-and-thirty-four left Oslo"),
    ("call 911 8500 or St. Mary", "call nine-one-one eighty-five-hundred or street Mary"),
    ("1/2 of 42", "half of four-two"),
    ("in 2005 \u2014 at 7:15", "in twenty-oh-five \u2014 at a-quarter-past-seven"),
]


@pytest.mark.parametrize(("written", "spelled"), READ)
def test_a_token_is_found_in_the_way_it_is_said(
    aligner: CtcAligner, monkeypatch: pytest.MonkeyPatch, written: str, spelled: str
) -> None:
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    said = EspeakSynthesizer().speak(spelled, Voice("en-us", "m3", 160, 45))
    monkeypatch.setattr(aligner, "_emissions", Knowing(aligner, said, spelled))
    found = aligner.align(said.waveform, written)
    assert [" ".join(words) for words in found.said] == [
        word.replace("-", " ").strip("\u2014") for word in spelled.split()
    ]
    expected = aligner.align(said.waveform, spelled)
    assert [(a.start, a.end) for a in found.words] == [(b.start, b.end) for b in expected.words]
    assert found.confidence == expected.confidence > aligner.lowest_confidence


def test_a_reading_that_does_not_fit_the_recording_is_left(
    aligner: CtcAligner, monkeypatch: pytest.MonkeyPatch, spoken: Spoken
) -> None:
    """The likeliest reading of a long number has more letters than this recording has frames."""
    frames = np.full((14, 32), 0.01)
    for place, letter in enumerate("TWOOOTWO"):
        frames[place + 3, aligner._vocabulary.encode(letter).ids[0]] = 0.69
    monkeypatch.setattr(aligner, "_emissions", Knowing(aligner, spoken, TEXT))
    aligner._emissions.frames = frames
    found = aligner.align(np.ones(14 * 320, np.float32), "22")
    assert found.said == (("two", "two"),)
