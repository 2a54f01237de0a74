"""A written text to the words that are said: which words each token owns, and in how many ways they may be said.

A token is what white space separates. Where it may be said in several ways ("1234", "St.", "IAX"), those who speak take
the first, and those who listen keep the likeliest.
"""

from __future__ import annotations

from collections.abc import Sequence

from smoltolk.speech.spelling.beside import Beside
from smoltolk.speech.spelling.english import bare, ways_of
from smoltolk.speech.spelling.other_languages import ways_in
from smoltolk.speech.spelling.tables import CURRENCIES, SCALES

Words = tuple[str, ...]
_SPELLING = "en"


def readings(tokens: Sequence[str], language: str = _SPELLING) -> list[tuple[Words, ...]]:
    """For each token the ways of saying it, likeliest first.

    ``["$5", "million"]`` gives ``[(("five",),), (("million", "dollars"), ("million", "dollar"))]``; a dash on its own
    has the one way ``()``. Letters keep their case, an apostrophe inside a word stays.

    Args:
        tokens: of a text, in order; what stands beside a token may change how it is said.
        language: ISO 639-1. English has rules for signs, short forms, dates and more; elsewhere numbers are spelled
            out, where num2words knows the language.
    """
    if language != _SPELLING:
        return [tuple(tuple(way.split()) for way in ways_in(token, language)) for token in tokens]
    found: list[tuple[Words, ...]] = []
    bares = ["", *(bare(token) for token in tokens), ""]
    capitals = _in_capitals(bares)
    currency = ""
    for place, token in enumerate(tokens):
        before, own, behind = bares[place : place + 3]
        scaled = behind.lower() in SCALES and own[:1] != "" and own.lstrip("-")[:1] in CURRENCIES and own[-1:].isdigit()
        beside = Beside(before, behind, capitals, currency, scaled)
        found.append(tuple(tuple(way.split()) for way in ways_of(token, beside)))
        currency = own.lstrip("-")[0] if scaled else ""
    return found


def spoken(tokens: Sequence[str], language: str = _SPELLING) -> list[Words]:
    """The words that are said for each token of a text, by the likeliest of its :func:`readings`."""
    return [ways[0] for ways in readings(tokens, language)]


def spoken_words(text: str, language: str = _SPELLING) -> list[str]:
    """The words that are said for a text."""
    return [word for words in spoken(text.split(), language) for word in words]


def _in_capitals(bares: Sequence[str]) -> bool:
    """Whether most of a text is in capitals, which then tell nothing of a word."""
    words = [word for word in bares if word.isalpha() and len(word) > 1]
    long = [word for word in words if word.isupper() and len(word) > 3]
    return len(long) > 1 and sum(word.isupper() for word in words) > len(words) / 2
