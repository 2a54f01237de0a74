"""Windows over a recording whose words are known: one a second, but for its pauses."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligned_words import AlignedWord, mismatch
from smoltolk.speech.alignment.windows import WINDOW_SECONDS, align_windows

DOUBTFUL = -4.5


@dataclass
class Known:
    """Finds the words that begin in a window; those that it is told to misses unless it searches widely.

    Attributes:
        starts: of all words, in seconds; each lasts half a second.
        swallowed: words that a search which is not wide does not find at the end of a window.
        lost: from this word on, a search that is not wide is off by one word and scores badly.
        asked: what it was asked: start, end, words, whole, widely.
        finished: words that were kept.
    """

    starts: np.ndarray
    swallowed: frozenset[int] = frozenset()
    lost: int = 10**9
    asked: list[tuple[float, float, int, bool, bool]] = field(default_factory=list)
    finished: int = 0

    def find(self, start: float, end: float, said: Sequence[str], *, whole: bool, widely: bool) -> list[AlignedWord]:
        self.asked.append((start, end, len(said), whole, widely))
        inside = np.flatnonzero((self.starts >= start - 0.01) & (self.starts + 0.25 < end)).tolist()
        first = int(said[0])
        right = bool(inside) and inside[0] == first
        if whole and (not right or len(inside) != len(said)):
            raise mismatch("no way through")
        if not whole and inside and inside[-1] in self.swallowed and not widely:
            inside = inside[:-1]
        found = []
        for place in inside[: len(said)]:
            bad = not right or (place >= self.lost and not widely)
            at = float(self.starts[place])
            found.append(AlignedWord([("", at, at + 0.5)], -9.0 if bad else -2.0, 1))
        return found

    def keep(self, words: Sequence[AlignedWord]) -> None:
        self.finished += len(words)


def recording(num_words: int, every: int = 10, pause: float = 1.0) -> tuple[np.ndarray, float, np.ndarray]:
    """Starts of words with a pause behind every tenth, length, and where it is quiet."""
    starts = np.arange(num_words) * 0.5 + np.arange(num_words) // every * pause
    seconds = float(starts[-1] + 1)
    quiet = np.ones(round(seconds * 100), bool)
    for start in starts:
        quiet[round(start * 100) : round(start * 100) + 50] = False
    return starts, seconds, quiet


def words_of(starts: np.ndarray) -> list[str]:
    return [str(place) for place in range(len(starts))]


def check(search: Known, seconds: float, quiet: np.ndarray) -> None:
    found = align_windows(search, words_of(search.starts), seconds, quiet, DOUBTFUL)
    assert [word.start for word in found] == pytest.approx(search.starts)


def test_a_short_recording_is_one_window() -> None:
    starts, seconds, quiet = recording(40)
    search = Known(starts)
    check(search, seconds, quiet)
    assert search.asked == [(0.0, seconds, 40, True, False)] and search.finished == 40


@pytest.mark.parametrize("pause", [1.0, 0.0])
def test_every_word_once_and_little_sound_twice(pause: float) -> None:
    starts, seconds, quiet = recording(2_000, pause=pause)
    search = Known(starts)
    check(search, seconds, quiet)
    assert search.finished == 2_000
    assert not any(widely for *_, widely in search.asked)
    searched = sum(end - start for start, end, *_ in search.asked)
    assert searched < (1.01 if pause else 1.3) * seconds  # where nobody pauses, the ends are searched again
    assert max(count for _, _, count, *_ in search.asked) < 150


def test_a_pace_that_rises_is_followed() -> None:
    slow, fast = np.arange(60) * 2.0, 120 + np.arange(900) * 0.1
    starts = np.concatenate([slow, fast])
    check(Known(starts), float(starts[-1] + 1), np.zeros(22_000, bool))


def test_silence_is_passed_over() -> None:
    starts = np.concatenate([np.arange(40) * 0.5, 400 + np.arange(40) * 0.5])
    quiet = np.ones(42_100, bool)
    for start in starts:
        quiet[round(start * 100) : round(start * 100) + 50] = False
    search = Known(starts)
    check(search, 421.0, quiet)
    assert max(end - start for start, end, *_ in search.asked) < 2 * WINDOW_SECONDS


def test_a_word_swallowed_at_the_end_of_a_window_is_found_again() -> None:
    starts, seconds, quiet = recording(400)
    swallowed = frozenset(range(9, 400, 10))  # every word before a pause
    search = Known(starts, swallowed)
    check(search, seconds, quiet)
    # Even where it is so soft that its sound does not show.
    for place in swallowed:
        quiet[round(starts[place] * 100) : round(starts[place] * 100) + 50] = True
    check(Known(starts, swallowed), seconds, quiet)


def test_a_lost_way_is_searched_widely() -> None:
    starts, seconds, quiet = recording(600)
    search = Known(starts, lost=200)
    check(search, seconds, quiet)
    assert any(widely for *_, widely in search.asked)


def test_what_cannot_be_said_is_told() -> None:
    starts, seconds, quiet = recording(400)
    search = Known(starts)
    with pytest.raises(InputError, match="no way through"):
        align_windows(search, [*words_of(starts), "400"], seconds, quiet, DOUBTFUL)
    assert len(search.asked) < 40
