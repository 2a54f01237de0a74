"""Pronunciations of words in the 39 phones of CMUdict, for the words that it lacks."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.speech import espeak
from smoltolk.speech.phones import SILENCE, phone_class

# One phoneme of espeak, several phones of CMUdict: with the r that American English keeps, and without.
_SPLIT = {"@L": "AH L", "n-": "AH N", "t#": "T", ";": "Y", "i@": "IY AH", "aI@": "AY AH"}
_SPLITS = {
    "en-us": _SPLIT
    | {"A@": "AA R", "O@": "AO R", "o@": "AO R", "e@": "EH R", "i@3": "IH R", "U@": "UH R", "aI3": "AY ER"},
    "en-gb": _SPLIT | {"e@": "EH AH", "i@3": "IH AH", "U@": "UH AH"},
}
ACCENTS = tuple(_SPLITS)
_WORDS_AT_ONCE = 40

# A letter's usual sound, and pairs first: crude, but any word gets a pronunciation.
_LETTERS = {
    "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "ck": "K", "ng": "NG", "qu": "K W", "wh": "W", "ee": "IY",
    "ea": "IY",
    "oo": "UW", "ou": "AW", "ow": "OW", "ai": "EY", "ay": "EY", "oa": "OW", "oi": "OY", "oy": "OY",
    "au": "AO", "aw": "AO", "er": "ER", "ir": "ER", "ur": "ER", "ar": "AA R", "or": "AO R",
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH",
    "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T",
    "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip


def pronounce(words: Sequence[str], accent: str) -> dict[str, str]:
    """Pronunciations by espeak-ng, one per word; words for which it has none are left out.

    Args:
        words: lower-case words; an empty answer if espeak-ng is not installed.
        accent: one of :data:`ACCENTS`.

    Returns:
        Word -> phones of CMUdict without stress, e.g. ``{"bob": "B AA B"}``.
    """
    found: dict[str, str] = {}
    for at in range(0, len(words), _WORDS_AT_ONCE):
        try:
            found |= _say_list(words[at : at + _WORDS_AT_ONCE], accent)
        except MissingExtraError:
            return {}
    return found


def _say_list(words: Sequence[str], accent: str) -> dict[str, str]:
    starts = list(accumulate((len(word) + 2 for word in words[:-1]), initial=0))
    _, _, events = espeak.say(", ".join(words), {"en-gb": "en"}.get(accent, accent), 170, 50)
    phones: dict[str, list[str]] = {}
    word = words[0]
    for event in events:
        if event.type == espeak.WORD:
            word = words[bisect_right(starts, event.position) - 1]
            continue
        plain = event.name.lstrip("',%=")
        try:
            phone = _SPLITS[accent].get(plain) or phone_class(plain, accent)
        except InputError:  # a word that espeak takes for another language
            phones[word] = []
            continue
        if phone != SILENCE:
            phones.setdefault(word, []).extend(phone.replace("AX", "AH").split())
    return {word: " ".join(parts) for word, parts in phones.items() if parts}


def by_letters(word: str) -> str:
    """A pronunciation by the letters of a word; any word has one, letters that are not Latin are schwas."""
    letters = "".join(
        letter for letter in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(letter)
    )
    phones: list[str] = []
    at = 0
    while at < len(letters):
        size = 2 if letters[at : at + 2] in _LETTERS else 1
        phones += _LETTERS.get(letters[at : at + size], "AH" if letters[at].isalpha() else "").split()
        at += size
    return " ".join(phones) or "AH"
