"""A token taken apart: amounts, times, numbers, signs and words, one after the other."""

from __future__ import annotations

import re

from smoltolk.speech.spelling import tables
from smoltolk.speech.spelling.beside import Beside
from smoltolk.speech.spelling.characters import SUPERSCRIPTS
from smoltolk.speech.spelling.figures import date, dotted, number_ways, phone, power, ratio, vulgar
from smoltolk.speech.spelling.money import money, money_range
from smoltolk.speech.spelling.numbers import MONTHS, clock, code, decade, integer, ordinal
from smoltolk.speech.spelling.ways import Ways, joined, unique

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|(?<![\w.])\.\d+"
_SIGNS = "".join(tables.CURRENCIES)
_SCALE = "|".join(sorted(tables.SCALE_LETTERS, key=len, reverse=True))
_LETTER = rf"[^\W\d_{SUPERSCRIPTS}\u00bc-\u00be\u2150-\u215f]"
_UNIT = "|".join(re.escape(unit) for unit in sorted(tables.UNITS, key=len, reverse=True))
_SYMBOL = "|".join(re.escape(symbol) for symbol in sorted(tables.SYMBOLS, key=len, reverse=True))
_VULGAR = "\u00bc-\u00be\u2150-\u215e"
_PIECE = re.compile(
    rf"""
    (?P<moneys>[{_SIGNS}](?:{_NUMBER})[-\u2013](?:[{_SIGNS}])?(?:{_NUMBER})(?![\w-]))
    |(?P<money>(?:US)?[{_SIGNS}]-?(?:\d+,\d{{2}}(?![\d,])|{_NUMBER})(?:(?:{_SCALE})(?!\w))?)
    |(?P<behind>(?:\d+,\d{{2}}(?![\d,])|{_NUMBER})[{_SIGNS}])
    |(?P<clock>(?<![\d:.])\d{{1,2}}:[0-5]\d(?![\d:])(?:(?:[ap]\.?m\b\.?|[AP]\.?M\b\.?))?)
    |(?P<hour>(?<![\d.,])\d{{1,2}}(?:[ap]\.m\.?|[AP]\.M\.?))
    |(?P<date>(?<![\d/])\d{{1,2}}/\d{{1,2}}/(?:\d{{4}}|\d\d)(?![\d/])|(?<![\d-])\d{{4}}-\d\d-\d\d(?![\d-]))
    |(?P<phone>\+\d{{7,}}(?!\w)|\+?\d{{1,4}}(?:(?:\)[-.]?|[-\u2013])\(?\d{{2,}})+(?![\w)]))
    |(?P<dotted>\d+(?:\.\d+){{2,}})
    |(?P<vulgar>\d*[{_VULGAR}])
    |(?P<fraction>(?<![\d/])\d+/\d+(?![\d/]))
    |(?P<range>(?<![\w.-])(?:{_NUMBER})[-\u2013](?:{_NUMBER})(?![\w-]|\.\d))
    |(?P<ordinal>\d[\d,]*(?:st|nd|rd|th|ST|ND|RD|TH)(?![^\W\d_]))
    |(?P<decade>(?<!\w)'?\d{{0,2}}\d0'?s(?!\w))
    |(?P<grouped>(?<![\d,])\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?![,\d]))
    |(?P<listed>\d+(?:,\d+)+)
    |(?P<decimal>\d+\.\d+|(?<![\w.])\.\d+)
    |(?P<integer>\d+)
    |(?P<power>[{SUPERSCRIPTS}]+|(?<=\w)\^\d+)
    |(?P<initials>(?<![^\W\d_])(?:[^\W\d_]\.){{2,}}[^\W\d_]?(?![^\W\d_]))
    |(?P<unit>(?<=\d)-?(?:{_UNIT})(?!\w))
    |(?P<word>{_LETTER}+(?:'{_LETTER}+)*)
    |(?P<symbol>{_SYMBOL}|[{_SIGNS}])
    |(?P<point>(?<=[^\W_])\.(?=\d)|(?<=\d)\.(?=[^\W_]))
    |(?P<ratio>(?<=\d):(?=\d))
    |(?P<slash>(?<=\w)/(?=\w))
    |(?P<underscore>(?<=\w)_(?=\w))
    """,
    re.VERBOSE,
)
_AMOUNT = re.compile(r"[-\u2013]?[\d.,]+")
_MINUS = re.compile(rf"[-\u2013](?=\.?\d|[{_SIGNS}]\d)")
_VOWELS = re.compile("[AEIOUYaeiouy\u00c0-\u024f]")
_NAMES = {month.lower() for month in MONTHS} | {month[:3].lower() for month in MONTHS} | {"sept"}


def piece_ways(core: str, beside: Beside) -> Ways:
    """The ways of saying a token, by those of its pieces."""
    minus = _MINUS.match(core)
    parts: list[Ways] = [("minus", "negative", "")] if minus else []
    pieces = list(_PIECE.finditer(core, minus.end() if minus else 0))
    mixed = bool(re.search(r"\d", core)) and bool(re.search(_LETTER, core))
    return joined([*parts, *(_piece(piece, core, beside, mixed=mixed, alone=len(pieces) == 1) for piece in pieces)])


def _piece(piece: re.Match[str], core: str, beside: Beside, *, mixed: bool, alone: bool) -> Ways:
    kind, text = piece.lastgroup, piece[0]
    match kind:
        case "moneys":
            return money_range(text)
        case "money" | "behind":
            return money(text, scaled=beside.scaled)
        case "clock":
            hour, minute, half = re.fullmatch(r"(\d+):(\d+)(.*)", text).groups()  # type: ignore[union-attr]
            return joined([clock(int(hour), int(minute)), (_half(half),)])
        case "hour":
            return joined([integer(re.match(r"\d+", text)[0]), (_half(text.lstrip("0123456789")),)])  # type: ignore[index]
        case "date":
            return date(text)
        case "phone":
            return phone(text)
        case "dotted":
            return dotted(text)
        case "vulgar":
            return vulgar(text)
        case "fraction":
            return ratio(*text.split("/"))
        case "range":
            one, other = re.split("[-\u2013]", text)
            return joined([number_ways(one), ("to", "", "minus", "dash", "through"), number_ways(other)])
        case "ordinal":
            return ordinal(int(re.sub(r"\D", "", text)))
        case "decade":
            return decade(text.strip("s'"))
        case "grouped" | "decimal":
            return number_ways(text)
        case "listed":
            return joined([integer(group) for group in text.split(",")])
        case "integer":
            return _integer(text, core, beside, mixed=mixed)
        case "power":
            return power(text)
        case "initials":
            return (" ".join(text.replace(".", " ").upper().split()),)
        case "unit" if _AMOUNT.fullmatch(core[: piece.start()]):
            return unique([*tables.UNITS[text.lstrip("-")], *_letters(text)])
        case "word" | "unit":
            return _capitals(text, beside, code=mixed)
        case "symbol" if text in tables.CURRENCIES:
            return (tables.CURRENCIES[text][0],) if not alone else tables.CURRENCIES[text][:2]
        case "symbol":
            return tables.SYMBOLS[text]
        case "point":
            return ("", "point", "dot")
        case "ratio":
            return ("", "to")
        case _:  # a slash, an underscore
            return ("", str(kind))


def _letters(text: str) -> Ways:
    return (" ".join(text.upper()),) if text.isalpha() else ()


def _half(text: str) -> str:
    return " ".join(text.replace(".", "").upper())


def _integer(text: str, core: str, beside: Beside, *, mixed: bool) -> Ways:
    if mixed:
        return code(text)
    day = text == core and len(text) <= 2 and 1 <= int(text) <= 31
    if day and beside.before.lower() in _NAMES:
        return unique([ordinal(int(text))[0], *integer(text), f"the {ordinal(int(text))[0]}"])
    if day and beside.behind in MONTHS:
        return unique([*integer(text), f"the {ordinal(int(text))[0]} of", f"the {ordinal(int(text))[0]}"])
    return integer(text)


def _capitals(word: str, beside: Beside, *, code: bool) -> Ways:
    """A word as it stands, and letter by letter where it may be spelled out."""
    plural = re.fullmatch(r"([A-Z]{2,5})'?s", word)
    letters = plural[1] if plural else word
    if not (2 <= len(letters) <= 6 and letters.isupper() and letters.isalpha()) or (beside.capitals and not code):
        return (word,)
    spelled = " ".join(letters) + ("'s" if plural else "")
    first = code or letters in tables.SPELLED_OUT or not _VOWELS.search(letters)
    return unique([spelled, word] if first else [word, spelled])
