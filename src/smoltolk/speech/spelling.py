"""Written tokens to the words that are said: numbers, symbols, titles, hyphens, and where sentences end."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from num2words import num2words

_TITLES = {
    "mr.": "mister",
    "mrs.": "missus",
    "ms.": "miz",
    "dr.": "doctor",
    "st.": "saint",
    "prof.": "professor",
}
_SYMBOLS = {"&": "and", "%": "percent", "+": "plus", "=": "equals", "@": "at", "#": "number", "°": "degrees"}
_CURRENCIES = {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds")}
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "`": "'"})
_MONEY = re.compile(r"([$€£])(\d[\d,]*(?:\.\d+)?)")
_CLOCK = re.compile(r"\b(\d{1,2}):([0-5]\d)\b")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,]*\d(?:\.\d+)?|\d+(?:\.\d+)?")
_YEARS = range(1100, 2000)  # "1984" is nineteen eighty-four; the same reading suits 1,500 things
_LAST_SPELLED = 10**15  # longer numbers are codes: digit by digit
_ABBREVIATION = re.compile(r"(?:[A-Za-z]\.){2,}$")  # U.S., e.g.
_SENTENCE_END = re.compile(r"[.!?…。！？]['\"’”»)\]]*$")


@lru_cache(maxsize=65_536)
def spoken_words(token: str) -> tuple[str, ...]:
    """The words that are said for one written token.

    ``"twenty-one,"`` gives ``("twenty", "one")``, ``"50%"`` gives ``("fifty", "percent")`` and a dash on its
    own gives ``()``. Letters keep their case, an apostrophe inside a word stays.
    """
    text = unicodedata.normalize("NFKC", token).translate(_QUOTES)
    if text.lower() in _TITLES:
        return (_TITLES[text.lower()],)
    text = _MONEY.sub(_say_money, text)
    text = _CLOCK.sub(_say_clock, text)
    text = _ORDINAL.sub(_say_ordinal, text)
    text = _NUMBER.sub(lambda found: f" {_say_number(found[0])} ", text)
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, f" {word} ")
    kept = "".join(letter if letter.isalpha() or letter == "'" else " " for letter in text)
    return tuple(word for word in (piece.strip("'") for piece in kept.split()) if word)


def ends_sentence(token: str) -> bool:
    """Whether a written token closes a sentence: ``.`` ``!`` ``?`` and the like, then quotes; not ``Mr.``, ``U.S.``"""
    if token.lower() in _TITLES or _ABBREVIATION.match(token):
        return False
    return _SENTENCE_END.search(token) is not None


def _say_number(number: str) -> str:
    whole, _, fraction = number.partition(".")
    if whole.isdecimal() and int(whole) in _YEARS and len(whole) == 4 and not fraction:
        return num2words(int(whole), to="year")
    whole = whole.replace(",", "")
    words = num2words(int(whole)) if int(whole) <= _LAST_SPELLED else _say_digits(whole)
    return f"{words} point {_say_digits(fraction)}" if fraction else words


def _say_ordinal(found: re.Match[str]) -> str:
    number = int(found[1])
    return f" {num2words(number, to='ordinal') if number <= _LAST_SPELLED else _say_digits(found[1])} "


def _say_digits(digits: str) -> str:
    return " ".join(num2words(int(digit)) for digit in digits)


def _say_money(found: re.Match[str]) -> str:
    one, many = _CURRENCIES[found[1]]
    return f" {_say_number(found[2])} {one if found[2] == '1' else many} "


def _say_clock(found: re.Match[str]) -> str:
    hour, minute = int(found[1]), int(found[2])
    past = "o'clock" if minute == 0 else f"{'oh ' if minute < 10 else ''}{num2words(minute)}"
    return f" {num2words(hour)} {past} "
