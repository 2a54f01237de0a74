from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from smoltolk.common.errors import MissingExtraError
from smoltolk.demo.segments import listen
from smoltolk.demo.words import english_aligner, words_of
from smoltolk.inference.answers import Answer
from smoltolk.inference.speech_text import SpeechText


def hearing(text: str | None, ended: bool = True) -> SimpleNamespace:
    """One who hears this in whatever it is given."""
    return SimpleNamespace(recognize=lambda audio: Answer(text=text, ended=ended))


def test_words_lie_where_they_are_said(talker: SpeechText, recording: tuple[Path, str]) -> None:
    pytest.importorskip("pocketsphinx")
    path, text = recording
    said = listen(talker, path, 60)
    words, note = words_of(hearing(text), said, english_aligner)
    assert [word.text for word in words] == text.split()
    assert all(a.stop <= b.start + 1e-6 for a, b in itertools.pairwise(words))
    assert 0 <= words[0].start < words[-1].stop <= len(said.waveform) / said.rate + 1e-6
    assert min(word.confidence for word in words) > 0.3 and text in note


@pytest.mark.parametrize(("text", "ended"), [("", True), (None, True), ("a fox", False)])
def test_without_recognition_there_are_no_words(
    talker: SpeechText, recording: tuple[Path, str], text: str | None, ended: bool
) -> None:
    words, note = words_of(hearing(text, ended), listen(talker, recording[0], 60), english_aligner)
    assert words == [] and "does not write down" in note


def test_words_that_cannot_be_placed_are_told(talker: SpeechText, recording: tuple[Path, str]) -> None:
    def missing() -> None:
        raise MissingExtraError("the judge needs pocketsphinx", "it is not installed", "pip install it")

    said = listen(talker, recording[0], 60)
    assert words_of(hearing("a fox"), said, missing) == (
        [], "no words placed: the judge needs pocketsphinx; pip install it",
    )  # fmt: skip
    words, note = words_of(hearing("ein Füchs лиса"), said, english_aligner)
    assert words == [] and note.startswith("no words placed: ")
