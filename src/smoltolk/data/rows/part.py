"""Some neighbouring utterances of a corpus as a corpus of their own, so that others can be held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smoltolk.data.rows.aligned import AlignedCorpus


class CorpusPart(AlignedCorpus):
    """Utterances ``first .. last`` of a corpus, numbered from 0. Nothing is copied; what lies on disk stays there.

    Args:
        whole: the corpus.
        first, last: as of a slice.
    """

    def __init__(self, whole: AlignedCorpus, first: int, last: int):
        self._whole, self._first = whole, first
        self.num_tokens: Any = _Window(whole.num_tokens, first, last)
        self.num_units: Any = _Window(whole.num_units, first, last)
        self.has_words: Any = _Window(whole.has_words, first, last)
        self.word_offsets: Any = _Window(whole.word_offsets, first, last + 1)
        # Places of words among all words: the offsets say which.
        self.token_stops, self.unit_stops = whole.token_stops, whole.unit_stops
        self.closes_sentence = whole.closes_sentence

    def is_of(self, utterances: object) -> bool:
        """Whether it is a part of what was made of these utterances."""
        return self._whole.is_of(utterances)

    def num_words(self, utterance: int) -> int:
        """As of the whole corpus; so are all that follow."""
        return self._whole.num_words(self._first + utterance)

    def tokens(self, utterance: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Tokens of words."""
        return self._whole.tokens(self._first + utterance, start, stop)

    def fresh_tokens(self, utterance: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Tokens of words as a text that begins there."""
        return self._whole.fresh_tokens(self._first + utterance, start, stop)

    def text(self, utterance: int, start: int = 0, stop: int | None = None) -> str:
        """Words as written."""
        return self._whole.text(self._first + utterance, start, stop)

    def units(self, utterance: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Units of words."""
        return self._whole.units(self._first + utterance, start, stop)

    def cuts(self, utterance: int, borders: np.ndarray) -> tuple[np.ndarray, list[int], np.ndarray, list[int]]:
        """Tokens, units, and where words begin in them."""
        return self._whole.cuts(self._first + utterance, borders)

    def parts(self) -> dict[str, np.ndarray]:
        """Of the whole corpus: an index is made of all of it."""
        return self._whole.parts()


class _Window:
    """Some neighbouring numbers of an array, in memory or on disk."""

    def __init__(self, array: Any, first: int, last: int):
        self._array, self._first, self._size = array, first, last - first
        self.dtype = array.dtype

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            start, stop, step = key.indices(self._size)
            return self._array[self._first + start : self._first + max(start, stop)][::step]
        if isinstance(key, int | np.integer):
            if not -self._size <= key < self._size:
                raise IndexError(f"number {key} of {self._size}")
            return self._array[self._first + int(key) % self._size]
        return np.asarray(self)[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._array[self._first : self._first + self._size], dtype)


def held_out_tail(corpus: AlignedCorpus, size: int, size_of: Callable[[int], int]) -> tuple[CorpusPart, CorpusPart]:
    """A corpus without its last utterances, and these: as many as have so many ids, but a tenth at most, and one.

    Args:
        corpus: of two utterances at least.
        size: ids that are wanted.
        size_of: ids of an utterance, by its number.
    """
    first, found = len(corpus), 0
    while found < size and len(corpus) - first < max(1, len(corpus) // 10):
        first -= 1
        found += size_of(first)
    return CorpusPart(corpus, 0, first), CorpusPart(corpus, first, len(corpus))
