"""What an aligner found, and made fit for use: vowels, pauses at the edges of words, silence between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import num_frames
from smoltolk.speech.pauses import LEVEL_RATE
from smoltolk.speech.phones import SILENCE, VOWELS
from smoltolk.speech.segments import Segment

# A sound at the edge of a word that begins or ends with this much quiet was stretched over a pause. The closure of
# a stop is shorter.
_QUIET_SECONDS, _MARGIN_SECONDS = 0.08, 0.02


@dataclass(frozen=True, slots=True)
class Alignment:
    """A text on its recording.

    Attributes:
        words: one segment for every whitespace token of the text, as written, in order; a token without anything to
            say (a dash) has one of no length.
        phones: segments named by ``phones.PHONES`` that tile the recording from 0 to its end; empty if the aligner
            finds words only. Vowels are those of the dictionary: it does not tell AX (the a in "about") from AH.
        scores: for each token, the mean over its frames of how well the sound fits, in nats; 0 is good, NaN where
            nothing is said. What is usual depends on the aligner, and on whether the text is a short one.
        score: the same over all words.
        coverage: share of the loud parts of the recording that lie inside words; below 0.9 the text lacks something.
        confidences: for each token, 0 to 1, how sure it is that this word is said here; NaN where nothing is said.
        unknown: letters that the aligner does not know and skipped over, each once.
        said: for each token, the words that it was found to be said with: of several readings the likeliest.
    """

    words: tuple[Segment, ...]
    phones: tuple[Segment, ...]
    scores: tuple[float, ...]
    score: float
    coverage: float
    confidences: tuple[float, ...]
    unknown: tuple[str, ...] = ()
    said: tuple[tuple[str, ...], ...] = ()

    @property
    def confidence(self) -> float:
        """0 to 1, how sure it is that the recording says this text: mean over words times coverage.

        Every aligner has its ``lowest_confidence``, below which the two hardly belong together.
        """
        return float(np.nanmean(self.confidences)) * self.coverage


def mismatch(found: str) -> InputError:
    """The error of a text that no way through its recording says."""
    return InputError("a recording must say its text, word by word", found, "check that the two belong together")


def check_length(seconds: float, longest: float) -> None:
    """Hold a recording against the longest that an aligner takes.

    Raises:
        InputError: it is longer.
    """
    if seconds > longest:
        fix = "cut it at pauses, each part with its text"
        raise InputError(f"a recording to align lasts {longest:g} s at most", f"{seconds:.0f} s", fix)


@dataclass(slots=True)
class AlignedWord:
    """One said word: its phones as [name, start, end] in seconds, its score (nats) and its frames.

    Where the phones are not known, one stands for all of them. A token that may be said in several ways is one, too:
    its words are its parts.
    """

    phones: list[tuple[str, float, float]]
    score: float
    frames: int
    parts: list[tuple[str, AlignedWord]] = field(default_factory=list)

    @property
    def start(self) -> float:
        """Where its first phone begins."""
        return self.phones[0][1]

    @property
    def end(self) -> float:
        """Where its last phone ends."""
        return self.phones[-1][2]


def merge_vowels(phones: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """One phone for a vowel and the r that colours it ("star" is S T AA), as in :mod:`smoltolk.speech.phones`."""
    merged: list[tuple[str, float, float]] = []
    for (name, start, end), following in zip(phones, [*(name for name, _, _ in phones[1:]), ""], strict=True):
        if name == "R" and merged and merged[-1][0] in VOWELS and following not in VOWELS:
            merged[-1] = (merged[-1][0], merged[-1][1], end)
        else:
            merged.append((name, start, end))
    return merged


def trim(word: AlignedWord, quiet: np.ndarray) -> None:
    """Take the pause off the first and the last phone of a word that were stretched over it."""
    name, start, end = word.phones[0]
    sound = _sounding(start, end, quiet)
    if len(sound) and sound[0] - start >= _QUIET_SECONDS:
        word.phones[0] = (name, sound[0] - _MARGIN_SECONDS, end)
    name, start, end = word.phones[-1]
    sound = _sounding(start, end, quiet)
    if len(sound) and end - sound[-1] >= _QUIET_SECONDS:
        word.phones[-1] = (name, start, sound[-1] + _MARGIN_SECONDS)


def _sounding(start: float, end: float, quiet: np.ndarray) -> np.ndarray:
    """The times in a stretch at which it is not quiet."""
    first = num_frames(start, LEVEL_RATE)
    return (first + np.flatnonzero(~quiet[first : num_frames(end, LEVEL_RATE)]) + 0.5) / LEVEL_RATE


def coverage_of(words: Sequence[Segment], loud: np.ndarray) -> float:
    """Share of the loud frames (bool [frames]) that lie inside words; 1 if nothing is loud."""
    return float((loud & covered_frames(words, len(loud))).sum() / loud.sum()) if loud.any() else 1.0


def covered_frames(words: Sequence[Segment], num: int) -> np.ndarray:
    """Which frames of 10 ms lie inside words: bool [num]."""
    inside = np.zeros(num, bool)
    for word in words:
        first = num_frames(max(0.0, word.start - _MARGIN_SECONDS), LEVEL_RATE)
        inside[first : num_frames(word.end + _MARGIN_SECONDS, LEVEL_RATE) + 1] = True
    return inside


def arrange(
    tokens: Sequence[str], owners: Sequence[int], words: Sequence[AlignedWord], end: float
) -> tuple[tuple[Segment, ...], tuple[Segment, ...], tuple[float, ...]]:
    """Words to tokens, and silence wherever there is no phone.

    Args:
        tokens: of the text, as written.
        owners: the token that each word belongs to, in order; a token may have several words, or none.
        words: what is said.
        end: of the recording, in seconds.

    Returns:
        a segment for each token, phones that tile the recording, and the score of each token.
    """
    tiles: list[Segment] = []
    position = 0.0
    for name, start, stop in [*(phone for word in words for phone in word.phones), (SILENCE, end, end)]:
        start, stop = min(max(start, position), end), min(max(stop, position), end)
        if start > position:
            tiles.append(Segment(SILENCE, position, start))
        if stop > start:
            tiles.append(Segment(name, start, stop))
        position = max(stop, start)
    spans: list[Segment] = []
    scores: list[float] = []
    last = 0.0
    owned: list[list[AlignedWord]] = [[] for _ in tokens]
    for word, owner in zip(words, owners, strict=True):
        owned[owner].append(word)
    for token, own in zip(tokens, owned, strict=True):
        start = min(max(own[0].start, last), end) if own else last
        last = min(max(own[-1].end, start), end) if own else last
        spans.append(Segment(token, start, last))
        scores.append(mean_score(own))
    return tuple(spans), tuple(tiles), tuple(scores)


def mean_score(words: Sequence[AlignedWord]) -> float:
    """Mean score over the frames of words, NaN if there are none."""
    frames = sum(word.frames for word in words)
    return sum(word.score for word in words) / frames if frames else float("nan")
