"""A written text in the letters, or pieces of words, that a CTC model knows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.spelling.readings import Words, spoken

STAR = -1
_BETWEEN_WORDS = -1
_META_SPACE = "\u2581"  # how pieces mark the beginning of a word


@dataclass(frozen=True)
class CtcText:
    """What a model is to find.

    Attributes:
        ids: int [n]: ids of the model; :data:`STAR` stands for any sound, where the model lacks a letter.
        owners: int [n]: the whitespace token of the text that each belongs to, -1 between words.
        unknown: the letters that the model lacks, each once, in order.
    """

    ids: np.ndarray
    owners: np.ndarray
    unknown: tuple[str, ...]


class CtcVocabulary:
    """The ids of a model's letters or pieces.

    Args:
        tokenizer: of transformers, with a vocabulary of letters (wav2vec 2.0, HuBERT, ...) or of pieces of words.
        language: of the texts, ISO 639-1; English also spells out symbols and titles.
    """

    def __init__(self, tokenizer: Any, language: str = "en"):
        self._tokenizer, self.language = tokenizer, language
        special = {token for token in tokenizer.all_special_tokens if len(token) > 1}
        self._pieces: dict[str, int] = {
            piece: index for piece, index in tokenizer.get_vocab().items() if piece not in special
        }
        delimiter = getattr(tokenizer, "word_delimiter_token", None)
        self._delimiter = self._pieces.pop(delimiter, None) if delimiter else None
        self._unknown_id = tokenizer.unk_token_id
        # Bracketed names are marks that a tokenizer forgot to call special.
        plain = [piece.strip(_META_SPACE) for piece in self._pieces if not re.fullmatch(r"[<\[].+[>\]]", piece)]
        if not any(piece.isalpha() for piece in plain):
            raise InputError(
                "the vocabulary of an aligner holds letters or pieces of words",
                f"{len(plain)} entries without a letter",
                "name a model with a written vocabulary",
            )
        self.by_letter = all(len(piece) <= 1 for piece in plain)

    def encode(self, text: str, said: Sequence[Words] | None = None) -> CtcText:
        """The ids of a text, word by word.

        Args:
            text: as written.
            said: the words that are said for each of its tokens; None: their likeliest readings.

        Raises:
            InputError: no word in the text, or none of its letters is known.
        """
        ids: list[int] = []
        owners: list[int] = []
        unknown: dict[str, None] = {}
        for owner, words in enumerate(spoken(text.split(), self.language) if said is None else said):
            for word in words:
                own = self._letters(word, unknown) if self.by_letter else self._word_pieces(word, unknown)
                if ids and self._delimiter is not None:
                    ids.append(self._delimiter)
                    owners.append(_BETWEEN_WORDS)
                ids += own
                owners += [owner] * len(own)
        if not ids:
            raise InputError("a text to align must have a word", repr(text), "write down what is said")
        if not any(one != STAR for one, owner in zip(ids, owners, strict=True) if owner != _BETWEEN_WORDS):
            raise InputError(
                "a model must know some letters of a text",
                f"none of {', '.join(unknown)}",
                "name a model of this language and script",
            )
        return CtcText(np.array(ids), np.array(owners), tuple(unknown))

    def decode(self, ids: Sequence[int], blank: int) -> str:
        """The text of the likeliest id of every frame: repeats and blanks are left out."""
        kept = [one for one, before in zip(ids, [None, *ids[:-1]], strict=True) if one != before and one != blank]
        known = set(self._pieces.values()) | {self._delimiter}
        return self._tokenizer.decode([one for one in kept if one in known], group_tokens=False).strip()

    def _letters(self, word: str, unknown: dict[str, None]) -> list[int]:
        ids: list[int] = []
        for letter in word:
            found = self._letter(letter)
            if not found and letter == "'":
                continue  # nothing is heard of it
            if not found:
                unknown[letter] = None
                found = [STAR]
            ids += [one for one in found if one != STAR or not ids or ids[-1] != STAR]  # one star covers all
        return ids

    def _letter(self, letter: str) -> list[int]:
        base = unicodedata.normalize("NFD", letter)[0]  # e for é: better than any sound
        for form in (letter, letter.lower(), letter.upper(), base, base.lower(), base.upper()):
            if all(part in self._pieces for part in form):  # upper case may be longer: ß
                return [self._pieces[part] for part in form]
        return []

    def _word_pieces(self, word: str, unknown: dict[str, None]) -> list[int]:
        for form in (word, word.lower(), word.upper()):
            ids = self._plain_ids(form)
            if self._unknown_id not in ids:
                return ids
        unknown |= dict.fromkeys(letter for letter in word if self._unknown_id in self._plain_ids(letter))
        ids = [STAR if one == self._unknown_id else one for one in self._plain_ids(word.lower())]
        return [one for one, before in zip(ids, [None, *ids], strict=False) if one != STAR or before != STAR]

    def _plain_ids(self, word: str) -> list[int]:
        return self._tokenizer(word, add_special_tokens=False)["input_ids"]
