"""Words get their times: an aligner of a name, and whether what it found is good enough to be kept."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligned_words import covered_frames
from smoltolk.speech.alignment.aligners import Aligner, aligner_named
from smoltolk.speech.pauses import LEVEL_RATE, loud_frames
from smoltolk.speech.segments import Segment

OFFLINE = "pocketsphinx"
# Of the loud parts of a recording 0.97 and more lie inside the words that pocketsphinx finds in a complete text.
# Words of a CTC model are shorter than their sound; its confidence alone must tell.
_LOWEST_COVERAGES = {OFFLINE: 0.85}
# The fastest speakers say ten words a second; scripts without spaces are counted in letters. A word or two may be cut.
_MOST_WORDS, _SPARE_WORDS = 10, 2  # a second, and more
_MOST_LETTERS, _SPARE_LETTERS = 50, 20
# Less than this is no word that the text leaves out: a release, a breath, the fading end of a vowel. In a recording of
# one word it may be a quarter of what is loud.
_NO_WORD_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """What an alignment must reach.

    Attributes:
        confidence: lowest mean confidence of the words times their coverage, 0 to 1.
        coverage: lowest share of the loud parts that lie inside words, 0 to 1; a fifth of a second outside is allowed
            whatever its share.
    """

    confidence: float = 0.0
    coverage: float = 0.0


@functools.cache
def aligner_of(name: str, language: str = "en", phones: bool = False) -> Aligner:
    """The aligner of a name, one for each process.

    Args:
        name: see :func:`smoltolk.speech.alignment.aligners.aligner_named`.
        language: of the texts, ISO 639-1.
        phones: find the phones too, where the aligner can.

    Raises:
        MissingExtraError: it is not installed.
        NotFoundError, InputError: there is none of this name, or it does not know the language.
    """
    return aligner_named(name, language=language, phones=phones and name == OFFLINE)


def limits_for(name: str, usual: float, confidence: float | None = None) -> Limits:
    """Limits for an aligner.

    Args:
        name: of the aligner.
        usual: its own lowest confidence.
        confidence: another one; None: the usual one.

    Raises:
        InputError: a confidence outside 0 to 1.
    """
    if confidence is not None and not 0 <= confidence <= 1:
        raise InputError("a confidence lies between 0 and 1", f"{confidence:g}", "give e.g. 0.6")
    return Limits(usual if confidence is None else confidence, _LOWEST_COVERAGES.get(name, 0.0))


def check_pace(text: str, seconds: float) -> None:
    """Hold the length of a text against that of its recording; no aligner is needed for that.

    Args:
        text: what is said.
        seconds: of sound.

    Raises:
        InputError: nobody speaks as fast as that.
    """
    words, letters = len(text.split()), sum(map(str.isalnum, text))
    if words > _MOST_WORDS * seconds + _SPARE_WORDS or letters > _MOST_LETTERS * seconds + _SPARE_LETTERS:
        raise InputError(
            f"a recording must say its text: {_MOST_WORDS} words or {_MOST_LETTERS} letters a second at most",
            f"{words} words, {letters} letters in {seconds:.1f} s",
            "listen whether the two belong together",
        )


def check_alignment(
    waveform: np.ndarray, words: Sequence[Segment], confidences: Sequence[float], limits: Limits
) -> None:
    """Hold the words found in a recording, or in a piece of one, against the limits.

    Args:
        waveform: float [samples], 16 kHz.
        words: in it.
        confidences: of the words.
        limits: to be reached.

    Raises:
        InputError: the recording does not say this, or says more.
    """
    loud = loud_frames(waveform)
    num_loud, num_covered = int(loud.sum()), int((loud & covered_frames(words, len(loud))).sum())
    left = max(0, num_loud - num_covered - round(_NO_WORD_SECONDS * LEVEL_RATE))
    covered = 1 - left / num_loud if left else 1.0
    if left and num_covered < limits.coverage * num_loud:
        raise InputError(
            f"the words of a text must cover {limits.coverage:.0%} of the loud parts of its recording, or all but "
            f"{_NO_WORD_SECONDS:g} s",
            f"{100 * num_covered // num_loud}%, {(num_loud - num_covered) / LEVEL_RATE:.2f} s lie outside",
            "listen whether the text is complete, or cut away what it leaves out",
        )
    sure = [(confidence, word.text) for confidence, word in zip(confidences, words, strict=True)]
    known = [pair for pair in sure if not math.isnan(pair[0])]
    confidence = covered * sum(one for one, _ in known) / len(known) if known else 0.0
    if confidence < limits.confidence:
        raise InputError(
            f"a recording must say its text: a confidence of {limits.confidence:g} at least",
            f"{confidence:.2f}" + (f", worst at {min(known)[1]!r}" if known else ""),
            "listen whether the two belong together; if they do, a lower --lowest-confidence takes it",
        )
