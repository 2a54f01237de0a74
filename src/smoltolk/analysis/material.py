"""What is looked at: words and sentences of some shards, each with its units and its tokens, chosen by a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.model.ids import IdSpace

# So many words are at hand for each that is chosen: choosing among the words of a few recordings would look at few.
_WORDS_A_CHOICE = 4
_WORDS_A_SENTENCE = 40  # as many are tokenized for each sentence that is chosen: many are said more than once
FEWEST = 20  # of words or sentences: below that, figures by layer are noise


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was said.

    Attributes:
        document: its utterance's place among the documents.
        text: in lower case, without punctuation at its ends.
        units, tokens: its positions in the spoken and in the written document, ``(first, behind the last)``.
        next_token: the first token of the word behind it; -1 where there is none.
        first_token: its own.
    """

    document: int
    text: str
    units: tuple[int, int]
    tokens: tuple[int, int]
    first_token: int
    next_token: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence by itself, as a document of units and one of tokens.

    Attributes:
        utterance: where it was said, its number in the material.
        words: in lower case, without punctuation at their ends.
    """

    utterance: int
    words: tuple[str, ...]
    spoken: Document
    written: Document


class Some:
    """Some utterances of shards, numbered anew.

    Args:
        units: all.
        numbers: of those that are meant.
    """

    def __init__(self, units: UnitCorpus, numbers: Sequence[int]):
        self.metadata, self._all, self._numbers = units.metadata, units, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def id(self, index: int) -> str:
        """Identifier of one utterance."""
        return self._all.id(self._numbers[index])

    def text(self, index: int) -> str:
        """Its text."""
        return self._all.text(self._numbers[index])

    def words(self, index: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Texts, starts and ends (seconds) of its words."""
        return self._all.words(self._numbers[index])

    def units(self, index: int) -> np.ndarray:
        """Its units."""
        return self._all.units(self._numbers[index])

    def durations(self, index: int) -> np.ndarray:
        """Frames of each."""
        return self._all.durations(self._numbers[index])

    def speaker(self, index: int) -> str:
        """Who said it."""
        return self._all[self._numbers[index]].speaker


class Material:
    """Words and sentences of shards for one model.

    Utterances are taken in an order that the seed draws, so that two models with the same tokenizer get the same words.

    Args:
        units: utterances with their words; those without words, or longer than ``longest`` ids, are left out.
        tokenizer: the model's.
        space: its ids.
        num_items: most words, and most sentences.
        seed: of the choice.
        longest: most ids of a document.

    Raises:
        InputError: fewer than 20 words have both units and tokens.

    Attributes:
        units: the utterances that were taken.
        utterances: numbers, among these, of those whose words are chosen from; documents are in their order.
    """

    def __init__(
        self, units: UnitCorpus, tokenizer: Any, space: IdSpace, *, num_items: int, seed: int, longest: int = 2048
    ):
        self.space, self._num_items = space, num_items
        told, read = units.num_units_each, units.num_words_each
        usable = np.flatnonzero((read > 0) & (told > 0) & (told < longest))
        order = generator(seed, "utterances", len(units)).permutation(usable)
        enough = np.searchsorted(np.cumsum(read[order]), _WORDS_A_SENTENCE * num_items) + 1
        self.units = Some(units, order[:enough].tolist())
        self.aligned = AlignedCorpus(self.units, tokenizer, units.metadata.frame_rate)
        self._order = np.flatnonzero(self.aligned.num_tokens < longest).tolist()
        self.utterances: list[int] = []
        candidates: list[Word] = []
        for utterance in self._order:
            if len(candidates) >= _WORDS_A_CHOICE * num_items:
                break
            candidates += self._words_of(utterance, len(self.utterances))
            self.utterances.append(utterance)
        if len(candidates) < FEWEST:
            raise InputError(
                f"shards to look at have {FEWEST} words at least, with times, units and tokens",
                f"{len(candidates)} words in {len(units)} utterances",
                "give more shards, of a corpus whose words are aligned",
            )
        picked = generator(seed, "words", len(candidates)).permutation(len(candidates))[:num_items]
        self.words = [candidates[k] for k in np.sort(picked)]

    @property
    def spoken(self) -> list[Document]:
        """The utterances as units: unit k of one stands at position k + 1."""
        return [Document(self.space).speech(self.units.units(u)) for u in self.utterances]

    @property
    def written(self) -> list[Document]:
        """The utterances as tokens: token k of one stands at position k + 1."""
        return [Document(self.space).text(self.aligned.tokens(u)) for u in self.utterances]

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Sentences no two of which are the same words."""
        found: dict[tuple[str, ...], Sentence] = {}
        for utterance in self._order:
            for start, stop in self._borders(utterance):
                if len(found) == self._num_items:
                    return list(found.values())
                words = tuple(map(plain, self.units.words(utterance)[0][start:stop]))
                units = self.aligned.units(utterance, start, stop)
                if words in found or not any(words) or not len(units):
                    continue
                tokens = self.aligned.fresh_tokens(utterance, start, stop)
                spoken, written = Document(self.space).speech(units), Document(self.space).text(tokens)
                found[words] = Sentence(utterance, words, spoken, written)
        return list(found.values())

    def speaker(self, utterance: int) -> str:
        """Who said it."""
        return self.units.speaker(utterance)

    def text(self, utterance: int) -> str:
        """What is said in it, whatever the punctuation."""
        return " ".join(map(plain, self.units.words(utterance)[0]))

    def unit_times(self, utterance: int) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of its units, float64 [n] each, seconds."""
        ends = np.cumsum(self.units.durations(utterance)) / self.units.metadata.frame_rate
        return np.concatenate([[0.0], ends[:-1]]), ends

    def _borders(self, utterance: int) -> list[tuple[int, int]]:
        first = self.aligned.word_offsets[utterance]
        closes = self.aligned.closes_sentence[first : first + self.aligned.num_words(utterance)].copy()
        closes[-1:] = True
        ends = (np.flatnonzero(closes) + 1).tolist()
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def _words_of(self, utterance: int, document: int) -> list[Word]:
        texts = self.units.words(utterance)[0]
        extent = slice(*self.aligned.word_offsets[utterance : utterance + 2].tolist())
        units = np.concatenate([[0], self.aligned.unit_stops[extent]]).tolist()
        tokens = np.concatenate([[0], self.aligned.token_stops[extent]]).tolist()
        ids = self.aligned.tokens(utterance)
        words = []
        for k, text in enumerate(texts):
            if units[k] == units[k + 1] or tokens[k] == tokens[k + 1] or not plain(text):
                continue
            follows = int(ids[tokens[k + 1]]) if k + 1 < len(texts) and tokens[k + 1] < tokens[k + 2] else -1
            # Position 0 of a document is its first end-of-sequence id.
            spoken, written = (units[k] + 1, units[k + 1] + 1), (tokens[k] + 1, tokens[k + 1] + 1)
            words.append(Word(document, plain(text), spoken, written, int(ids[tokens[k]]), follows))
        return words


def plain(word: str) -> str:
    """A word in lower case, without punctuation at its ends."""
    letters = [place for place, letter in enumerate(word) if letter.isalnum()]
    return word[letters[0] : letters[-1] + 1].casefold() if letters else ""


def groups_of(names: Sequence[str]) -> np.ndarray:
    """int64 [n]: the same number for the same name."""
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)
