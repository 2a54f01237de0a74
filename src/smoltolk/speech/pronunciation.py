"""Pronunciations of words in the 39 phones of CMUdict, for the words that it lacks."""

from __future__ import annotations

import unicodedata

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.speech import espeak
from smoltolk.speech.phones import SILENCE, phone_class

_ACCENT = "en-us"
# One phoneme of espeak, several phones of CMUdict.
_SPLIT = {
    "A@": "AA R",
    "O@": "AO R",
    "o@": "AO R",
    "e@": "EH R",
    "i@3": "IH R",
    "U@": "UH R",
    "aI3": "AY ER",
    "aI@": "AY AH",
    "i@": "IY AH",
    "@L": "AH L",
    "n-": "AH N",
    "t#": "T",
    ";": "Y",
}
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


def pronounce(word: str) -> list[str]:
    """Phones of a word by espeak-ng where it is installed, else by its letters; never empty.

    Args:
        word: a lower-case word; letters that are not Latin count as a schwa each.

    Returns:
        Phones of CMUdict without stress, e.g. ``["B", "AA", "B"]``.
    """
    try:
        _, _, events = espeak.say(word, _ACCENT, 170, 50)
        phones = [part for event in events if event.type == espeak.PHONEME for part in _cmu(event.name)]
    except (MissingExtraError, InputError):  # not installed, or a phoneme of another language
        phones = []
    return phones or _by_letters(word)


def _cmu(name: str) -> list[str]:
    plain = name.lstrip("',%=")
    phone = _SPLIT.get(plain) or phone_class(plain, _ACCENT)
    return [] if phone == SILENCE else phone.replace("AX", "AH").split()


def _by_letters(word: str) -> list[str]:
    letters = "".join(
        letter for letter in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(letter)
    )
    phones: list[str] = []
    at = 0
    while at < len(letters):
        size = 2 if letters[at : at + 2] in _LETTERS else 1
        phones += _LETTERS.get(letters[at : at + size], "AH" if letters[at].isalpha() else "").split()
        at += size
    return phones or ["AH"]
