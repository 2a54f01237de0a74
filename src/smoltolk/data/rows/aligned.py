"""A corpus ready to be cut: the tokens and the units of every utterance, and where each word has its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import locate_words, stops, words_of_tokens, words_of_units
from smoltolk.data.rows.plain_tokens import plain_encoding, plain_ids
from smoltolk.speech.spelling.sentences import ends_sentence

_BATCH = 1000


class Utterances(Protocol):
    """What is read of a corpus; :class:`smoltolk.data.shards.parquet.UnitCorpus` is one."""

    def __len__(self) -> int: ...

    def text(self, index: int, /) -> str:
        """Text of one utterance."""

    def words(self, index: int, /) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Texts, starts and ends (seconds) of its words."""

    def units(self, index: int, /) -> np.ndarray:
        """Its units, ``[n]``; several codebooks: ``[n, Q]``, one row a frame."""

    def durations(self, index: int, /) -> np.ndarray:
        """Frames of each unit."""


class Texts:
    """Texts as utterances without sound, so that written text is cut and visited as speech is.

    Args:
        texts: the documents.
    """

    def __init__(self, texts: Sequence[str]):
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, index: int) -> str:
        """Text of one document."""
        return self._texts[index]

    def words(self, index: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Its words, at times that mean nothing."""
        words = self._texts[index].split()
        return words, np.zeros(len(words)), np.zeros(len(words))

    def units(self, index: int) -> np.ndarray:
        """None."""
        return np.zeros(0, np.uint16)

    durations = units


class AlignedCorpus:
    """Utterances with their text tokenized once and both sides cut at words.

    Everything is worked out at the start and kept in flat arrays, so that a run of words is two slices later.
    An utterance whose words are not known is kept as if it were one word.

    Args:
        utterances: units, durations, words with times.
        tokenizer: a fast transformers tokenizer (one with offset mapping).
        frame_rate: frames per second of the durations.

    Attributes:
        word_offsets: int64 ``[N + 1]``; the words of utterance u are ``word_offsets[u] .. word_offsets[u +
            1]`` in the three arrays below.
        token_stops, unit_stops: int32 ``[words]``, where each word's tokens and units end within its
            utterance.
        closes_sentence: bool ``[words]``.
        num_tokens, num_units: int64 ``[N]``.
        has_words: bool ``[N]``, whether the words were known.
    """

    def __init__(self, utterances: Utterances, tokenizer: Any, frame_rate: float):
        check_fast(tokenizer)
        self._utterances, self._tokenizer = utterances, tokenizer
        tokens, token_stops, unit_stops, char_stops, closes, known = [], [], [], [], [], []
        for start in range(0, len(utterances), _BATCH):
            batch = range(start, min(start + _BATCH, len(utterances)))
            located = [self._locate(index) for index in batch]
            encoded = plain_encoding(tokenizer, [text for text, _ in located], return_offsets_mapping=True)
            for index, (_, word_stops), ids, spans in zip(
                batch, located, encoded["input_ids"], encoded["offset_mapping"], strict=True
            ):
                words, _, ends = utterances.words(index)
                durations = utterances.durations(index)
                ends = ends if words else np.zeros(1)
                token_ends = np.array([end for _, end in spans], np.int64)
                tokens.append(np.array(ids, np.int32))
                char_stops.append(word_stops)
                token_stops.append(stops(words_of_tokens(token_ends, word_stops), len(ends)))
                unit_stops.append(stops(words_of_units(durations, ends, frame_rate), len(ends)))
                closes.append([ends_sentence(word) for word in words] or [True])
                known.append(bool(words))
        self.has_words = np.array(known, bool)
        self.num_tokens = np.array([part[-1] for part in token_stops], np.int64)
        self.num_units = np.array([part[-1] for part in unit_stops], np.int64)
        self.word_offsets = _offsets(np.array([len(part) for part in token_stops], np.int64))
        self.token_stops, self.unit_stops = _flat(token_stops, np.int32), _flat(unit_stops, np.int32)
        self.closes_sentence = _flat(closes, bool)
        self._char_stops = _flat(char_stops, np.int32)
        self._tokens, self._token_offsets = _flat(tokens, np.int32), _offsets(self.num_tokens)

    def __len__(self) -> int:
        return len(self.num_tokens)

    def is_of(self, utterances: object) -> bool:
        """Whether it was made of these utterances."""
        return self._utterances is utterances

    def num_words(self, utterance: int) -> int:
        """Words of one utterance, 1 if they are not known."""
        start, stop = self._extent(self.word_offsets, utterance)
        return stop - start

    def tokens(self, utterance: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Tokens of words ``start .. stop`` (default: all) as in the whole text: int32 ``[n]``, a view."""
        low, high = self._bounds(self.token_stops, utterance, start, stop)
        base = self._token_offsets[utterance]
        return self._tokens[base + low : base + high]

    def fresh_tokens(self, utterance: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Tokens of words ``start .. stop`` as a text that begins there, so without a space before it."""
        if start == 0:
            return self.tokens(utterance, start, stop)
        return np.array(plain_ids(self._tokenizer, self.text(utterance, start, stop)), np.int32)

    def text(self, utterance: int, start: int = 0, stop: int | None = None) -> str:
        """Words ``start .. stop`` (default: all) as written."""
        low, high = self._bounds(self._char_stops, utterance, start, stop)
        return self._locate(utterance)[0][low:high].strip()

    def units(self, utterance: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Units of words ``start .. stop`` (default: all), integer ``[n]`` or ``[n, Q]``, a view."""
        low, high = self._bounds(self.unit_stops, utterance, start, stop)
        return self._utterances.units(utterance)[low:high]

    def cuts(self, utterance: int, borders: np.ndarray) -> tuple[np.ndarray, list[int], np.ndarray, list[int]]:
        """All tokens and all units of an utterance, and where each of some words begins in them.

        Args:
            utterance: its number.
            borders: int64 ``[n]``, words (0 to their count).

        Returns:
            tokens, n places among the tokens, units, n places among the units.
        """
        words = slice(*self._extent(self.word_offsets, utterance))
        token_cuts, unit_cuts = self.token_stops[words][borders - 1], self.unit_stops[words][borders - 1]
        token_cuts[borders == 0] = unit_cuts[borders == 0] = 0
        start, stop = self._extent(self._token_offsets, utterance)
        units = self._utterances.units(utterance)
        return self._tokens[start:stop], token_cuts.tolist(), units, unit_cuts.tolist()

    def parts(self) -> dict[str, np.ndarray]:
        """Everything that was worked out, as flat arrays: what :mod:`smoltolk.data.rows.disk_corpus` keeps on disk."""
        numbers = range(len(self))
        texts = [self._locate(index)[0].encode() for index in numbers]
        units = [np.asarray(self._utterances.units(index)) for index in numbers]
        return {
            "tokens": self._tokens,
            "token_stops": self.token_stops,
            "unit_stops": self.unit_stops,
            "char_stops": self._char_stops,
            "closes_sentence": self.closes_sentence,
            "units": _flat(units, np.uint16),
            "text": np.frombuffer(b"".join(texts), np.uint8),
            "num_tokens": self.num_tokens,
            "num_units": self.num_units,
            "has_words": self.has_words,
            "word_offsets": self.word_offsets,
            "token_offsets": self._token_offsets,
            "unit_offsets": _offsets(np.array([len(part) for part in units], np.int64)),
            "text_offsets": _offsets(np.array([len(text) for text in texts], np.int64)),
        }

    def _locate(self, index: int) -> tuple[str, np.ndarray]:
        text, words = self._utterances.text(index), self._utterances.words(index)[0]
        return locate_words(text, words) if words else (text, np.array([len(text)]))

    def _extent(self, offsets: np.ndarray, utterance: int) -> tuple[int, int]:
        """Where something of an utterance begins and ends."""
        start, stop = offsets[utterance : utterance + 2].tolist()
        return start, stop

    def _bounds(self, flat: np.ndarray, utterance: int, start: int, stop: int | None) -> tuple[int, int]:
        first = self.word_offsets[utterance]
        last = self.word_offsets[utterance + 1] if stop is None else first + stop
        low = flat[first + start - 1] if start > 0 else 0
        return int(low), int(flat[last - 1]) if last > first else 0


def check_fast(tokenizer: Any) -> None:
    """Raise InputError unless a tokenizer has an offset mapping."""
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "the tokenizer must tell where its tokens lie in the text",
            f"{type(tokenizer).__name__}, which has no offset mapping",
            "load it with AutoTokenizer (use_fast=True)",
        )


def _flat(parts: list[Any], dtype: Any) -> np.ndarray:
    return np.concatenate([np.asarray(part, dtype) for part in parts]) if parts else np.zeros(0, dtype)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
