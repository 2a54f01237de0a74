"""Words get their times: what an aligner found, and whether it is good enough to be kept."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.aligned_words import coverage_of
from smoltolk.speech.alignment import Alignment, PocketsphinxAligner
from smoltolk.speech.audio import SAMPLE_RATE
from smoltolk.speech.pauses import loud_frames
from smoltolk.speech.segments import Segment

OFFLINE = "pocketsphinx"
LOWEST_COVERAGE = 0.85  # of the loud parts of a recording: 0.97 and more lie inside the words of a complete text
# Speech that says its text has -2 to -4, a text from another recording less than -5 if it can be aligned at all.
_LOWEST_SCORES = {OFFLINE: -5.0}


class Aligner(Protocol):
    """Finds when the words of a text are said."""

    def align(self, waveform: np.ndarray, text: str, sample_rate: int = SAMPLE_RATE) -> Alignment:
        """Words, phones if it knows them, and scores.

        Raises:
            InputError: this recording or this text cannot be aligned.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What an alignment must reach.

    Attributes:
        score: lowest mean score of the words (nats per frame, 0 is best).
        coverage: lowest share of the loud parts that lie inside words.
    """

    score: float
    coverage: float = LOWEST_COVERAGE


@functools.cache
def aligner_of(name: str) -> Aligner:
    """The aligner of a name, one for each process.

    Raises:
        InputError: no such aligner.
        MissingExtraError: it is not installed.
    """
    if name == OFFLINE:
        return PocketsphinxAligner()
    raise InputError(f"an aligner is called {OFFLINE!r}", repr(name), "choose it")


def limits_for(name: str, score: float | None = None) -> Limits:
    """Limits for the scores of an aligner; ``score`` None: its usual one."""
    return Limits(_LOWEST_SCORES[name] if score is None else score)


def check_alignment(
    waveform: np.ndarray, words: Sequence[Segment], scores: Sequence[float], limits: Limits, score: float | None = None
) -> None:
    """Hold the words found in a recording against the limits.

    Args:
        waveform: float [samples], 16 kHz.
        words, scores: of the recording, as the aligner gave them.
        limits: to be reached.
        score: over all words; None: the mean of theirs, weighted by their length.

    Raises:
        InputError: the recording does not say this, or says more.
    """
    sure = [(s, word) for s, word in zip(scores, words, strict=True) if not math.isnan(s)]
    if score is None:
        seconds = [word.end - word.start for _, word in sure]
        score = float(np.average([s for s, _ in sure], weights=seconds)) if sum(seconds) > 0 else -math.inf
    if not score >= limits.score:
        worst = min(sure, key=lambda pair: pair[0])[1].text if sure else ""
        raise InputError(
            f"a recording must say its text: a score of {limits.score:g} at least",
            f"{score:.2f}, worst at {worst!r}",
            "listen whether the two belong together",
        )
    covered = coverage_of(words, loud_frames(waveform))
    if covered < limits.coverage:
        raise InputError(
            f"the words of a text must cover {limits.coverage:.0%} of the loud parts of its recording at least",
            f"{covered:.0%}",
            "listen whether the text is complete, or cut away what it leaves out",
        )
