"""Characters before they are read: what looks alike made one, what is not seen taken out, what is not Latin found."""

from __future__ import annotations

import re
import unicodedata

from smoltolk.common.errors import InputError

_SHOWN = 80
# Apostrophes as keyboards, word processors and scanners write them; prime and accents stand for one between letters.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u02b9\u00b4\u0060\u2032\uff07\u201b", "'"))
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\ufe63\uff0d", "-") | {"\u2212": "-", "\u2044": "/"})
# NFKC makes 10\u00b2 a hundred and two and 1\u00bd eleven over two: these signs are read as they stand.
SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
_KEPT = re.compile(f"([{SUPERSCRIPTS}\u00bc-\u00be\u2150-\u215f\u2189]+)")
_FEET = re.compile("(?<=\\d)\u2032")


def clean(token: str) -> str:
    """A token in the characters that the rules know.

    Wide and joined letters are plain ones, apostrophes are ``'``, hyphens ``-``; soft hyphens, joiners, marks of
    direction and control characters are gone. Fractions and superscripts stay.
    """
    token = "".join(letter for letter in token if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    token = _FEET.sub("ft ", token).replace("\u2033", " inches ")
    token = token.translate(_APOSTROPHES).translate(_DASHES)
    parts = _KEPT.split(token)  # every second one is kept
    parts[::2] = [unicodedata.normalize("NFKC", part) for part in parts[::2]]
    return "".join(parts).translate(_APOSTROPHES).translate(_DASHES)


def strange_letter(text: str) -> str | None:
    """The first letter of a clean text that is not Latin; None if there is none."""
    latin = (letter.isascii() or unicodedata.name(letter, "").startswith("LATIN") for letter in text)
    return next((letter for letter, known in zip(text, latin, strict=True) if letter.isalpha() and not known), None)


def check_english(text: str) -> None:
    """Hold a text against what the English parts can take: pocketsphinx, espeak-ng and flite.

    espeak-ng would switch to another language, whose phonemes have no class here, or read the letter's name;
    pocketsphinx knows the sounds of English only.

    Raises:
        InputError: letters that are not Latin.
    """
    letter = strange_letter(clean(text))
    if letter is not None:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise InputError(
            "a text of the English parts is in Latin letters",
            f"{letter!r} in {shown!r}",
            "transcribe or drop the word; for another language see docs/languages.md",
        )
