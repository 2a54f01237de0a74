"""What is done with an aligner's words, on words made by hand."""

import math

import numpy as np
import pytest

from smoltolk.speech.alignment.aligned_words import AlignedWord, arrange, coverage_of, merge_vowels, trim
from smoltolk.speech.segments import Segment


def word(*phones: tuple[str, float, float], score: float = -2.0, frames: int = 1) -> AlignedWord:
    return AlignedWord(list(phones), score, frames)


def test_an_r_joins_the_vowel_before_it_but_not_between_vowels() -> None:
    star = [("S", 0.0, 0.1), ("T", 0.1, 0.2), ("AA", 0.2, 0.3), ("R", 0.3, 0.4)]
    assert merge_vowels(star)[-1] == ("AA", 0.2, 0.4)
    carry = [("K", 0.0, 0.1), ("EH", 0.1, 0.2), ("R", 0.2, 0.3), ("IY", 0.3, 0.4)]
    assert merge_vowels(carry) == carry
    assert merge_vowels([("R", 0.0, 0.1), ("EH", 0.1, 0.2)])[0] == ("R", 0.0, 0.1)


def test_long_quiet_is_taken_off_both_edges_and_short_quiet_is_left() -> None:
    quiet = np.ones(100, bool)
    quiet[30:60] = False
    stretched = word(("DH", 0.1, 0.4), ("AX", 0.4, 0.9))
    trim(stretched, quiet)
    assert stretched.phones[0][1] == pytest.approx(0.285) and stretched.phones[1][2] == pytest.approx(0.615)
    closure = word(("T", 0.25, 0.4), ("UW", 0.4, 0.65))
    trim(closure, quiet)
    assert closure.phones == [("T", 0.25, 0.4), ("UW", 0.4, 0.65)]


def test_tokens_without_words_have_no_length_and_silence_fills_gaps() -> None:
    words = [word(("AH", 0.1, 0.2), frames=10, score=-20.0), word(("B", 0.3, 0.5)), word(("IY", 0.5, 0.7))]
    spans, phones, scores = arrange(["a", "—", "b2"], [0, 2, 2], words, 1.0)
    assert spans == (Segment("a", 0.1, 0.2), Segment("—", 0.2, 0.2), Segment("b2", 0.3, 0.7))
    assert [phone.text for phone in phones] == ["sil", "AH", "sil", "B", "IY", "sil"]
    assert phones[0].start == 0 and phones[-1].end == 1.0
    assert scores[0] == -2.0 and math.isnan(scores[1]) and scores[2] == -2.0


def test_times_never_pass_the_end() -> None:
    spans, phones, _ = arrange(["a"], [0], [word(("AH", 0.9, 1.3))], 1.0)
    assert spans == (Segment("a", 0.9, 1.0),) and phones[-1] == Segment("AH", 0.9, 1.0)


def test_coverage_is_the_share_of_loud_frames_inside_words() -> None:
    loud = np.zeros(100, bool)
    loud[10:30] = loud[60:80] = True
    assert coverage_of([Segment("a", 0.1, 0.3)], loud) == 0.5
    assert coverage_of([Segment("a", 0.1, 0.3), Segment("b", 0.6, 0.8)], loud) == 1.0
    assert coverage_of([], np.zeros(10, bool)) == 1.0
