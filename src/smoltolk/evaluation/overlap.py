"""How much of a test set stands in the training data: runs of words, and runs of units.

An item's runs are looked for: so many neighbouring words (in NFD, lower case, without signs) or units, and of a shorter
item the whole. What is held in memory are the runs of the test set; the training data pass by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.texts.reading import read_documents, read_texts
from smoltolk.evaluation.tasks.spoken_answers import tokens

WORDS, UNITS = 8, 25  # of a run
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: a hash of a run is a polynomial in it, modulo 2^64


@dataclass(frozen=True, slots=True)
class Overlap:
    """What of a test set was found.

    Attributes:
        length: of a run.
        runs, found: different runs of the test set, and how many of them the training data have.
        items, touched, whole: items that have a run, those with one that was found, those with all found.
        names: ids of the items that were found whole.
    """

    length: int
    runs: int
    found: int
    items: int
    touched: int
    whole: int
    names: list[str]


class Runs:
    """Runs of a test set that are looked for.

    Args:
        items: ``(id, symbols [n])`` of each item; symbols are uint64. Items without a symbol are left out.
        length: of a run; items that are shorter are one run.

    Raises:
        InputError: no item with a symbol.
    """

    def __init__(self, items: Iterable[tuple[str, np.ndarray]], length: int):
        if length < 1:
            raise InputError("a run has a word or unit at least", f"{length}", "give 1 or more")
        self._length = length
        self._items: list[tuple[str, int, np.ndarray]] = []
        for name, symbols in items:
            size = min(length, len(symbols))
            if size:
                self._items.append((name, size, hashes(symbols, size)))
        if not self._items:
            raise InputError("a test set has an item with words or units", "none", "check what was named")
        sizes = sorted({size for _, size, _ in self._items})
        self._wanted = {
            size: np.unique(np.concatenate([found for _, one, found in self._items if one == size])) for size in sizes
        }
        self._seen = {size: np.zeros(len(wanted), bool) for size, wanted in self._wanted.items()}

    def look_in(self, symbols: np.ndarray) -> None:
        """Mark what stands in a training utterance or document, uint64 [n]."""
        for size, wanted in self._wanted.items():
            if len(symbols) < size:
                continue
            found = hashes(symbols, size)
            places = np.minimum(np.searchsorted(wanted, found), len(wanted) - 1)
            self._seen[size][places[wanted[places] == found]] = True

    def overlap(self) -> Overlap:
        """What was found so far."""
        touched, names = 0, []
        for name, size, own in self._items:
            seen = self._seen[size][np.searchsorted(self._wanted[size], own)]
            touched += bool(seen.any())
            if seen.all():
                names.append(name)
        runs = sum(map(len, self._wanted.values()))
        found = int(sum(seen.sum() for seen in self._seen.values()))
        return Overlap(self._length, runs, found, len(self._items), touched, len(names), names)


def hashes(symbols: np.ndarray, size: int) -> np.ndarray:
    """uint64 [n - size + 1]: of every run of so many neighbours."""
    count = len(symbols) - size + 1
    total = np.zeros(count, np.uint64)
    with np.errstate(over="ignore"):
        for place in range(size):
            total = total * _FACTOR + _mixed(symbols[place : place + count])
    return total


def words_of(text: str, known: dict[str, int]) -> np.ndarray:
    """Words as uint64 [n]; ``known`` keeps those that were seen."""
    found = []
    for word in tokens(text):
        if word not in known:
            known[word] = derive(0, word)
        found.append(known[word])
    return np.array(found, np.uint64)


def units_of(units: np.ndarray) -> np.ndarray:
    """Units [n], or frames [n, Q], as uint64 [n]."""
    frames = np.asarray(units, np.uint64).reshape(len(units), -1)
    total = np.zeros(len(frames), np.uint64)
    with np.errstate(over="ignore"):
        for column in frames.T:
            total = total * _FACTOR + _mixed(column)
    return total


def overlap(
    train: Sequence[Path], test: Path, *, words: int = WORDS, units: int = UNITS, progress: Bar | None = None
) -> dict[str, Overlap]:
    """By words, and if both are shards by units.

    Args:
        train: shards, or texts (``.txt``, ``.jsonl``).
        test: the same.
        words, units: of a run.
        progress: advanced by the places of ``train``.

    Raises:
        NotFoundError, InputError: what is not there, or units of two tokenizers.
    """
    known: dict[str, int] = {}
    spoken = None if _is_text(test) else read_shards(test)
    texts = (
        [(str(row["id"]), row["text"]) for row in read_texts(test)]
        if spoken is None
        else [(spoken.id(i), spoken.text(i)) for i in range(len(spoken))]
    )
    by_words = Runs(((name, words_of(text, known)) for name, text in texts), words)
    by_units = (
        None
        if spoken is None or all(map(_is_text, train))
        else Runs(((spoken.id(i), units_of(spoken.units(i))) for i in range(len(spoken))), units)
    )
    for place in train:
        if _is_text(place):
            for document in read_documents(place):
                by_words.look_in(words_of(document, known))
        else:
            fingerprint = None if spoken is None else spoken.metadata.fingerprint
            heard = read_shards(place, fingerprint=fingerprint)
            for i in range(len(heard)):
                by_words.look_in(words_of(heard.text(i), known))
                if by_units is not None:
                    by_units.look_in(units_of(heard.units(i)))
        if progress is not None:
            progress.advance()
    found = {"words": by_words.overlap()}
    return found if by_units is None else found | {"units": by_units.overlap()}


def _is_text(place: Path) -> bool:
    return place.suffix.lower() in (".txt", ".jsonl")


def _mixed(values: np.ndarray) -> np.ndarray:
    """Neighbouring numbers far from each other (the end of splitmix64)."""
    mixed = values.astype(np.uint64) + np.uint64(0x632BE59BD9B4E019)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
