"""A long recording cut into utterances at its pauses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.segments import Segment
from smoltolk.speech.spelling.sentences import ends_sentence

# A cut costs less the longer its pause is; inside a sentence it costs this much more. A third of a second is a breath.
_PAUSE_SECONDS, _INSIDE_SENTENCE, _ANY_CUT = 0.3, 0.25, 0.1
_SHORT_SHARE, _SHORT_COST = 0.5, 0.5  # pieces below half of the longest cost up to this much more
_MARGIN_SECONDS = 0.3  # of a pause, kept on either side


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a recording.

    Attributes:
        first, stop: its words, ``first`` to ``stop - 1``.
        start, end: where it lies, in seconds from the start of the recording.
    """

    first: int
    stop: int
    start: float
    end: float


def cut_at_pauses(words: Sequence[Segment], seconds: float, longest: float) -> list[Stretch]:
    """Cut a recording into pieces that hold every word once, best at long pauses and at the ends of sentences.

    Of all ways to cut, the cheapest (a shortest path over the gaps between words). Up to 0.3 s of a pause stay on
    either side; what lies further from any word belongs to no piece.

    Args:
        words: in order, with times.
        seconds: length of the recording.
        longest: most seconds of a piece. Only a single word that lasts longer makes a longer one.

    Returns:
        pieces in order that do not overlap; the words of one begin where those of the one before stop.

    Raises:
        InputError: no words, or ``longest`` is not above 0.
    """
    if not words or not longest > 0:
        raise InputError(
            "a recording is cut between its words, into pieces longer than 0 s",
            f"{len(words)} words, longest {longest:g} s",
            "align it first" if not words else "give more",
        )
    starts = np.array([word.start for word in words])
    ends = np.maximum.accumulate([word.end for word in words])
    gaps = np.maximum(0.0, starts[1:] - ends[:-1])  # gap k lies behind word k
    middle = (starts[1:] + ends[:-1]) / 2
    heads = np.concatenate([[max(0.0, starts[0] - _MARGIN_SECONDS)], np.maximum(middle, starts[1:] - _MARGIN_SECONDS)])
    tails = np.concatenate(
        [np.minimum(middle, ends[:-1] + _MARGIN_SECONDS), [min(seconds, ends[-1] + _MARGIN_SECONDS)]]
    )
    cuts = [
        _ANY_CUT + math.exp(-gap / _PAUSE_SECONDS) + (0.0 if ends_sentence(word.text) else _INSIDE_SENTENCE)
        for gap, word in zip(gaps, words, strict=False)
    ]
    cost, before = [0.0] + [math.inf] * len(words), [0] * (len(words) + 1)
    for stop in range(1, len(words) + 1):
        for first in range(stop - 1, -1, -1):
            length = tails[stop - 1] - heads[first]
            if length > longest and first < stop - 1:
                break
            short = max(0.0, 1.0 - length / (_SHORT_SHARE * longest))
            total = cost[first] + (cuts[first - 1] if first else 0.0) + _SHORT_COST * short
            if total < cost[stop]:
                cost[stop], before[stop] = total, first
    pieces: list[Stretch] = []
    stop = len(words)
    while stop:
        first = before[stop]
        pieces.append(Stretch(first, stop, float(heads[first]), float(tails[stop - 1])))
        stop = first
    return pieces[::-1]


def shifted(segments: Sequence[Segment], start: float, end: float) -> tuple[Segment, ...]:
    """Those of a recording's segments that lie in a piece of it, clipped to it, in seconds from its start."""
    return tuple(
        Segment(s.text, max(s.start, start) - start, min(s.end, end) - start)
        for s in segments
        if s.end > start and s.start < end
    )
