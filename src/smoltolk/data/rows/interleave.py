"""Which units and which tokens belong to which word, and where an utterance changes between text and speech.

Words cut an utterance in two ways that run in parallel: its units and its tokens. Both are cut without gaps
and without overlaps, so any choice of runs says every word once, and the pieces of one modality, laid end
to end, are the whole again. All functions are pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class SpanLengths:
    """How many words a run has, both ends included (defaults: those of the paper, for long recordings).

    Attributes:
        text: fewest and most words of a run of text.
        speech: fewest and most words of a run of speech.
    """

    text: tuple[int, int] = (10, 30)
    speech: tuple[int, int] = (5, 15)

    def __post_init__(self) -> None:
        for name in ("text", "speech"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise InputError(
                    f"{name} spans must have 1 <= fewest <= most words",
                    f"({low}, {high})",
                    "correct the setting",
                )

    @property
    def speech_share(self) -> float:
        """Expected share of the words that are spoken."""
        return sum(self.speech) / (sum(self.speech) + sum(self.text))


def words_of_units(durations: np.ndarray, word_ends: np.ndarray, frame_rate: float) -> np.ndarray:
    """Give each unit to the word in which most of its frames fall.

    A frame belongs to the word that its centre lies in; silence belongs to the following word, silence
    after the last word to the last. Of equal halves the earlier word wins.

    Args:
        durations: integer ``[n]`` frames of each unit, >= 1.
        word_ends: ``[w]`` seconds, where each word ends, in order, w >= 1. (Starts do not matter: what lies
            before a word, back to the end of the one before, is silence.)
        frame_rate: frames per second.

    Returns:
        int64 ``[n]``, not decreasing. A very short word may get no unit.

    Raises:
        InputError: there are units but no word.
    """
    if len(word_ends) == 0 and len(durations):
        raise InputError("units need words to belong to", "no words", "treat the utterance as speech only")
    if len(durations) == 0:
        return np.zeros(0, np.int64)
    unit_of_frame = np.repeat(np.arange(len(durations)), durations)
    centres = (np.arange(len(unit_of_frame)) + 0.5) / frame_rate
    borders = np.maximum.accumulate(np.asarray(word_ends[:-1], np.float64))
    word_of_frame = np.searchsorted(borders, centres, side="right")
    # Runs of frames of one unit in one word; each unit takes the word of its longest run.
    new = (np.diff(unit_of_frame, prepend=-1) != 0) | (np.diff(word_of_frame, prepend=-1) != 0)
    run_start = np.flatnonzero(new)
    run_length = np.diff(run_start, append=len(unit_of_frame))
    run_unit = unit_of_frame[run_start]
    # Stable order by unit, then longest first; the first run of each unit is its winner.
    order = np.lexsort((-run_length, run_unit))
    winners = order[np.searchsorted(run_unit, np.arange(len(durations)))]
    return word_of_frame[run_start[winners]].astype(np.int64)


def words_of_tokens(token_stops: np.ndarray, word_stops: np.ndarray) -> np.ndarray:
    """Give each token to the word that its last character lies in; spaces belong to the following word.

    Args:
        token_stops: integer ``[n]``, where each token ends in the text (offset mapping, second column).
        word_stops: integer ``[w]``, where each word ends in the text, in order, w >= 1.

    Returns:
        int64 ``[n]``, not decreasing.
    """
    words = np.searchsorted(word_stops[:-1], np.asarray(token_stops) - 1, side="right")
    return np.maximum.accumulate(words) if len(words) else words


def stops(words: np.ndarray, num_words: int) -> np.ndarray:
    """Where each word's items end: word ``k`` has the items from ``stops[k - 1]`` (or 0) to ``stops[k]``.

    Args:
        words: integer ``[n]``, the word of each item, not decreasing.
        num_words: w.

    Returns:
        int64 ``[w]``; the last is n.
    """
    return np.searchsorted(words, np.arange(num_words), side="right")


def locate_words(text: str, words: Sequence[str]) -> tuple[str, np.ndarray]:
    """Where each word ends in the text.

    The n-th word is the n-th whitespace-separated part of the text. Where the counts differ (an aligner that
    spells numbers out or leaves words out), the words themselves, joined by spaces, take the text's place.

    Returns:
        the text that the stops refer to, and int64 ``[w]`` stops.
    """
    found = [match.end() for match in re.finditer(r"\S+", text)]
    if len(found) == len(words):
        return text, np.array(found, np.int64)
    return " ".join(words), np.cumsum([len(word) + 1 for word in words], dtype=np.int64) - 1


def draw_runs(num_words: int, lengths: SpanLengths, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Cut words into alternating runs, the first modality at random, the last run as long as what is left.

    Args:
        num_words: w >= 0.
        lengths: of the runs.
        rng: draws the first modality and the lengths.

    Returns:
        ``(borders, first_is_speech)``: int64 ``[runs + 1]`` from 0 to w; run r has the words
        ``borders[r] .. borders[r + 1]`` and is speech if r is even and the first one is, or odd and it is
        not.
    """
    first_is_speech = bool(rng.integers(2))
    pairs = num_words // (lengths.text[0] + lengths.speech[0]) + 1
    text = rng.integers(lengths.text[0], lengths.text[1], size=pairs, endpoint=True)
    speech = rng.integers(lengths.speech[0], lengths.speech[1], size=pairs, endpoint=True)
    lengths_in_turn = np.zeros(2 * pairs + 1, np.int64)
    lengths_in_turn[1::2], lengths_in_turn[2::2] = (speech, text) if first_is_speech else (text, speech)
    borders = lengths_in_turn.cumsum()
    last = int(borders.searchsorted(num_words))
    borders[last] = num_words
    return borders[: last + 1], first_is_speech
