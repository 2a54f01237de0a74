"""A long recording aligned window by window, in time and memory that grow with its length alone.

A window begins at a pause. Its search knows the words that may come and may stop after any of them. It ends in a pause,
too, where there is a quiet one, and all that fits its sound is kept. Otherwise what is found is kept up to a gap
between words that fit on both sides; there the next window begins, so that what the end of a window cuts is searched
again. A window without such a place grows: over a passage that the text leaves out only the words behind it tell where
it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligned_words import AlignedWord, mean_score
from smoltolk.speech.pauses import LEVEL_RATE
from smoltolk.speech.spelling.readings import Words

Ways = tuple[Words, ...]

# Short windows are fast: the search pays for every word of its text in every frame. They are up to a quarter shorter
# or longer, for the sake of a pause.
WINDOW_SECONDS, _LONGEST_WINDOW, _LEEWAY = 24.0, 180.0, 0.25
_REST_SECONDS = 12.0  # the last window is longer by up to this, rather than followed by a short one
_WITNESSES, _RUN = 4, 8  # words on either side of a cut that must fit, and together anywhere before it
_QUIET_SECONDS = 0.25  # shorter than this it may be the closure of a stop
_UNHEARD_SECONDS = 0.05  # of sound behind the last word of a window that may be its end
_LONG_PAUSE = 0.3  # a longer one is no better place to cut
_TAIL_SECONDS = 5.0  # at the end of a window without words one may have begun
_LEAD_SECONDS = 1.0  # of a pause before the first word of a window
# Words a second that a window is ready for: at first, and against the window before.
_PACE, _MORE_PACE, _SLOWEST_PACE, _SPARE_WORDS = 4.0, 1.2, 2.0, 10


class Search(Protocol):
    """What finds words in a stretch of one recording."""

    def find(self, start: float, end: float, said: Sequence[Ways], *, whole: bool, widely: bool) -> list[AlignedWord]:
        """The words said from ``start`` to ``end``, with times in the recording.

        They are the first of ``said``, as many as fit; with ``whole`` all of them, or InputError. ``widely`` takes
        longer and gives up fewer ways.
        """

    def keep(self, words: Sequence[AlignedWord]) -> None:
        """The first words of the last answer are kept: finish them."""


def align_windows(
    search: Search,
    said: Sequence[Ways],
    seconds: float,
    quiet: np.ndarray,
    doubtful: float,
    report: Callable[[float], None] | None = None,
) -> list[AlignedWord]:
    """Find all words of a recording; one short enough is one window.

    Args:
        search: in this recording.
        said: its words, each in the ways it may be said; a token that may be said in several ways is one of them.
        seconds: its length.
        quiet: where it holds no speech, see :func:`smoltolk.speech.pauses.quiet_frames`.
        doubtful: score of a word, in nats a frame, above which it is rather right than wrong.
        report: called before each window with the seconds that were searched before.

    Raises:
        InputError: no way through the last window says what is left of the words.
    """
    words: list[AlignedWord] = []
    at, size, pace = 0.0, WINDOW_SECONDS, _PACE
    before: _Window | None = None
    while len(words) < len(said):
        if report is not None:
            report(at)
        left = said[len(words) :]
        last = at + size + _REST_SECONDS >= seconds
        earliest, latest = at + (1 - _LEEWAY) * size, min(at + (1 + _LEEWAY) * size, seconds)
        pause = None if last else _pause(quiet, earliest, latest)
        end = seconds if last else at + size if pause is None else pause
        problem: InputError | None = None
        found: list[AlignedWord] = []
        try:
            widely = size > WINDOW_SECONDS
            if last:
                found = search.find(at, end, left, whole=True, widely=widely)
            else:
                found = _find(search, at, end, left, pace, widely)
        except InputError as error:
            problem = error
        if before is not None and (problem or (found and mean_score(found[:_WITNESSES]) <= doubtful)):
            # Perhaps the window before stopped a word too early or too late: more of it, once.
            del words[before.num_words :]
            at, size, before = before.start, min(2 * before.size, _LONGEST_WINDOW), None
            continue
        if problem:
            raise problem
        if last:
            search.keep(found)
            return words + found
        if not found:  # nobody speaks
            at, size = end - _TAIL_SECONDS, WINDOW_SECONDS
            continue
        complete = _all_inside(found[-1].end, pause, quiet) or (
            len(found) == len(left) and found[-1].end < end - _TAIL_SECONDS
        )
        stop = _cut(found, at, end, complete, doubtful)
        if stop is None and size < _LONGEST_WINDOW:
            size = min(2 * size, _LONGEST_WINDOW)
            continue
        if stop is None:  # the worst of passages must not stop the rest; its words are doubted later
            stop = _any_cut(found, at, end)
        before = _Window(at, len(words), size) if size < _LONGEST_WINDOW else None
        search.keep(found[:stop])
        words += found[:stop]
        begin = end
        if stop < len(found):
            behind, following = found[stop - 1].end if stop else at, found[stop].start
            begin = max((behind + following) / 2, following - _LEAD_SECONDS)
        pace = max(_MORE_PACE * stop / (begin - at), _SLOWEST_PACE)
        at, size = begin, WINDOW_SECONDS
    return words


@dataclass(frozen=True, slots=True)
class _Window:
    """Where a window began, how many words came before it, and how long it was meant to be."""

    start: float
    num_words: int
    size: float


def _all_inside(last: float, pause: float | None, quiet: np.ndarray) -> bool:
    """Whether a window ends in a pause, with nothing to be heard between its last word and that."""
    if pause is None:
        return False
    behind = quiet[int(last * LEVEL_RATE) + 1 : int(pause * LEVEL_RATE)]
    return int((~behind).sum()) <= _UNHEARD_SECONDS * LEVEL_RATE


def _pause(quiet: np.ndarray, first: float, last: float) -> float | None:
    """The middle of the longest quiet stretch between two times; None if there is none worth the name."""
    part = quiet[int(first * LEVEL_RATE) : int(last * LEVEL_RATE)]
    borders = np.flatnonzero(np.diff(part.astype(np.int8), prepend=0, append=0))
    runs = [(b - a, (a + b) / 2) for a, b in pairwise(borders.tolist()) if part[a]]
    length, middle = max(runs, default=(0, 0.0))
    return int(first * LEVEL_RATE + middle) / LEVEL_RATE if length >= _QUIET_SECONDS * LEVEL_RATE else None


def _find(search: Search, at: float, end: float, left: Sequence[Ways], pace: float, widely: bool) -> list[AlignedWord]:
    """What a window says; it must not end for want of words."""
    while True:
        ready = left[: int((end - at) * pace) + _SPARE_WORDS]
        found = search.find(at, end, ready, whole=False, widely=widely)
        if len(ready) == len(left) or len(found) <= len(ready) - _WITNESSES:
            return found
        pace *= 2


def _cut(found: Sequence[AlignedWord], at: float, end: float, complete: bool, doubtful: float) -> int | None:
    """How many words to keep; None if no place is sure.

    Args:
        found: by the search of a window.
        at, end: of the window.
        complete: no word is cut by its end.
        doubtful: as above.
    """
    # Behind a run of words that do not fit the search may have lost its way: a few that fit by chance prove nothing.
    runs = (found[first : first + _RUN] for first in range(max(1, len(found) - _RUN + 1)))
    good = next((first for first, run in enumerate(runs) if mean_score(run) <= doubtful), len(found))
    if complete and good == len(found) and min(mean_score(found[-_WITNESSES:]), mean_score(found[-1:])) > doubtful:
        return len(found)
    best, chosen = 0.0, None
    for stop in range(_WITNESSES, good - _WITNESSES):  # the last word may be cut
        before, after = found[stop - _WITNESSES : stop], found[stop : stop + _WITNESSES]
        worth = _worth(before[-1].end, after[0].start, at, end)
        if worth > best and min(mean_score(before), mean_score(after)) > doubtful:
            best, chosen = worth, stop
    return chosen


def _any_cut(found: Sequence[AlignedWord], at: float, end: float) -> int:
    """The same without a look at scores; 0 where the first word comes late, and a later window may tell more."""
    if found[0].start > at + _LEAD_SECONDS and len(found) <= _WITNESSES:
        return 0
    places = range(1, max(2, len(found) - _WITNESSES))
    return max(places, key=lambda stop: _worth(found[stop - 1].end, found[min(stop, len(found) - 1)].start, at, end))


def _worth(before: float, after: float, at: float, end: float) -> float:
    return min(max(0.0, after - before), _LONG_PAUSE) / _LONG_PAUSE + (before - at) / (end - at)
