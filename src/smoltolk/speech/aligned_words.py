"""What an aligner found, made fit for use: vowels, pauses at the edges of words, silence between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.speech.audio import num_frames
from smoltolk.speech.pauses import LEVEL_RATE
from smoltolk.speech.phones import SILENCE, VOWELS
from smoltolk.speech.segments import Segment

# A sound at the edge of a word that begins or ends with this much quiet was stretched over a pause. The closure of
# a stop is shorter.
_QUIET_SECONDS, _MARGIN_SECONDS = 0.08, 0.02


@dataclass(slots=True)
class AlignedWord:
    """One said word: its phones as [name, start, end] in seconds, its score (nats) and its frames."""

    phones: list[tuple[str, float, float]]
    score: float
    frames: int


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
    inside = np.zeros(len(loud), bool)
    for word in words:
        first = num_frames(max(0.0, word.start - _MARGIN_SECONDS), LEVEL_RATE)
        inside[first : num_frames(word.end + _MARGIN_SECONDS, LEVEL_RATE) + 1] = True
    return float((loud & inside).sum() / loud.sum()) if loud.any() else 1.0


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
    for index, token in enumerate(tokens):
        own = [word for word, owner in zip(words, owners, strict=True) if owner == index]
        start = min(max(own[0].phones[0][1], last), end) if own else last
        last = min(max(own[-1].phones[-1][2], start), end) if own else last
        spans.append(Segment(token, start, last))
        scores.append(mean_score(own))
    return tuple(spans), tuple(tiles), tuple(scores)


def mean_score(words: Sequence[AlignedWord]) -> float:
    """Mean score over the frames of words, NaN if there are none."""
    frames = sum(word.frames for word in words)
    return sum(word.score for word in words) / frames if frames else float("nan")
