from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from smoltolk.common.errors import MissingExtraError
from smoltolk.demo.segments import listen
from smoltolk.demo.words import cut_at_pauses, english_aligner, words_of
from smoltolk.inference.answers import Answer
from smoltolk.inference.speech_text import SpeechText
from smoltolk.speech.audio import SAMPLE_RATE, resample


def hearing(text: str | None, ended: bool = True) -> SimpleNamespace:
    """One who hears this in whatever it is given."""
    return SimpleNamespace(recognize=lambda pieces: [Answer(text=text, ended=ended) for _ in pieces])


def test_words_lie_where_they_are_said(talker: SpeechText, recording: tuple[Path, str]) -> None:
    pytest.importorskip("pocketsphinx")
    path, text = recording
    said = listen(talker, path, 60)
    sentences = [part + "." for part in text.rstrip(".").split(".")]
    pieces = cut_at_pauses(resample(said.waveform, said.rate, SAMPLE_RATE))
    assert len(pieces) == len(sentences)
    heard = SimpleNamespace(recognize=lambda _: [Answer(text=one) for one in sentences])
    words, note = words_of(heard, said, english_aligner)
    assert [word.text for word in words] == text.split()
    assert all(a.stop <= b.start + 1e-6 for a, b in itertools.pairwise(words))
    assert 0 <= words[0].start < words[-1].stop <= len(said.waveform) / said.rate + 1e-6
    assert min(word.confidence for word in words) > 0.3 and text in note


@pytest.mark.parametrize(("text", "ended"), [("", True), (None, True), ("a fox", False)])
def test_without_recognition_there_are_no_words(
    talker: SpeechText, recording: tuple[Path, str], text: str | None, ended: bool
) -> None:
    words, note = words_of(hearing(text, ended), listen(talker, recording[0], 60), english_aligner)
    assert words == [] and "does not write down all" in note


def test_words_that_cannot_be_placed_are_told(talker: SpeechText, recording: tuple[Path, str]) -> None:
    def missing() -> None:
        raise MissingExtraError("the judge needs pocketsphinx", "it is not installed", "pip install it")

    said = listen(talker, recording[0], 60)
    words, note = words_of(hearing("a fox"), said, missing)
    assert words == [] and note.endswith("no words placed: the judge needs pocketsphinx; pip install it")
    words, note = words_of(hearing("ein Füchs лиса"), said, english_aligner)
    assert "not all words are placed: " in note
    assert {(word.text, word.confidence) for word in words} == {("ein Füchs лиса", 0.0)}
    assert words[0].start == 0 and words[-1].stop == pytest.approx(len(said.waveform) / said.rate)


def test_pieces_tile_the_recording_and_end_in_pauses() -> None:
    noise = np.random.default_rng(0).normal(scale=0.2, size=16000).astype(np.float32)
    pause = np.zeros(4800, np.float32)
    found = cut_at_pauses(np.concatenate([pause, noise, pause, noise, noise[:3000], pause]))
    assert found[0][0] == 0 and found[-1][1] == 3 * 4800 + 2 * 16000 + 3000
    assert len(found) == 2 and found[0][1] == found[1][0]
    assert 20800 < found[0][1] < 25600
    assert cut_at_pauses(np.concatenate([noise, pause, noise[:1000]])) == [(0, 21800)]
    assert cut_at_pauses(np.zeros(100, np.float32)) == [(0, 100)]
