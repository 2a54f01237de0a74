"""Tokens of other languages to words: numbers as num2words spells them, letters as they stand."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from num2words import num2words

from smoltolk.speech.spelling.characters import clean
from smoltolk.speech.spelling.ways import Ways, joined, unique

# They write 1.234,5 where English writes 1,234.5.
_COMMA = frozenset(
    "bg ca cs da de el es et fi fr hr hu id is it lt lv nb nl no pl pt ro ru sk sl sr sv tr uk vi".split()  # noqa: SIM905 - a table
)
_LAST_SPELLED = 10**15


@lru_cache(maxsize=65_536)
def ways_in(token: str, language: str) -> Ways:
    """The ways of saying a token, likeliest first; ``("",)`` where there is nothing to say.

    Digits stay where num2words does not know the language.

    Args:
        token: as written.
        language: ISO 639-1.
    """
    point, comma = (",", ".") if language in _COMMA else (".", ",")
    number = rf"\d{{1,3}}(?:\{comma}\d{{3}})+(?!\d)(?:\{point}\d+)?|\d+(?:\{point}\d+)?"
    parts: list[Ways] = []
    place = 0
    text = clean(token)
    for found in re.finditer(number, text):
        parts += [
            _words(text[place : found.start()]),
            _number(found[0].replace(comma, "").replace(point, "."), language),
        ]
        place = found.end()
    return joined([*parts, _words(text[place:])])


def _number(number: str, language: str) -> Ways:
    try:
        one_by_one = " ".join(num2words(int(digit), lang=language) for digit in number if digit != ".")
        if "." not in number and int(number) > _LAST_SPELLED:
            return (one_by_one,)
        full = num2words(float(number) if "." in number else int(number), lang=language)
    except (NotImplementedError, OverflowError):
        return (number,)
    return unique([str(_words(full)[0]), *([one_by_one] if len(number) > 1 and "." not in number else [])])


def _words(text: str) -> Ways:
    # Marks (M) are vowels in many scripts; digits stay where the language has no spelling.
    kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" or letter == "'" else " " for letter in text)
    return (" ".join(filter(None, (piece.strip("'") for piece in kept.split()))),)
