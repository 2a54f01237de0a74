"""One English token to the ways in which it is said: numbers, signs, short forms, addresses, and plain words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from smoltolk.speech.spelling import tables
from smoltolk.speech.spelling.characters import SUPERSCRIPTS, clean
from smoltolk.speech.spelling.money import money, money_range
from smoltolk.speech.spelling.numbers import (
    MONTHS,
    cardinal,
    clock,
    code,
    decade,
    decimal,
    digits,
    fraction,
    grouped,
    integer,
    ordinal,
)
from smoltolk.speech.spelling.roman import roman_value
from smoltolk.speech.spelling.ways import Ways, joined, unique


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a token and changes how it is said.

    Args:
        before, behind: the neighbours without marks, "" where there is none.
        capitals: the whole text is in capitals, which therefore tell nothing.
        currency: said behind this token, the scale of an amount of money ("$5 million").
        scaled: the next token is the scale of this amount, and says the currency.
    """

    before: str = ""
    behind: str = ""
    capitals: bool = False
    currency: str = ""
    scaled: bool = False


ALONE = Beside()
_OPENING = "\"'([{<\u201c\u201e\u00ab\u2039*_\u00bf\u00a1"
_CLOSING = ".,;:!?\"')]}>\u201d\u00bb\u203a\u2026*_"
_ADDRESS = re.compile(
    rf"(?:(?P<scheme>https?|ftp)://)?(?:(?P<user>[\w.+-]+)@)?(?P<host>(?:[\w-]+\.)+(?:{tables.DOMAINS}))"
    r"(?P<path>[/?#:]\S*)?"
)
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
    |(?P<decade>(?<!\w)'?\d*\d0'?s(?!\w))
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
_PLAIN = re.compile("[A-Z]?[a-z]+(?:'[a-z]+)?")
_NAMES = {month.lower() for month in MONTHS} | {month[:3].lower() for month in MONTHS} | {"sept"}


def bare(token: str) -> str:
    """A token without the marks around it."""
    return clean(token).lstrip(_OPENING).rstrip(_CLOSING)


@lru_cache(maxsize=65_536)
def ways_of(token: str, beside: Beside = ALONE) -> Ways:
    """The ways of saying a token, likeliest first; ``("",)`` where there is nothing to say."""
    text = clean(token).lstrip(_OPENING.replace("'", "") if re.match(r"\W*'\d0s", token) else _OPENING)
    dotted = text.rstrip(_CLOSING.replace(".", ""))
    core = text.rstrip(_CLOSING)
    if beside.currency:
        one, many, _, _ = tables.CURRENCIES[beside.currency]
        return unique([f"{core} {many}", f"{core} {one}"])
    if _PLAIN.fullmatch(core) and core == dotted and core not in tables.UNITS:
        return (core,)
    return _short_form(core, dotted, beside) or _address(core) or _roman(core, beside) or _by_pieces(core, beside)


def _short_form(core: str, dotted: str, beside: Beside) -> Ways:
    if core in tables.SHORT_FORMS:
        return tables.SHORT_FORMS[core]
    if core in tables.SPELLED_OUT and "&" in core:
        return (" and ".join(" ".join(part) for part in core.split("&")),)
    if core in tables.UNITS and beside.before[-1:].isdigit():
        return unique([*tables.UNITS[core], " ".join(core.upper()) if core.isalpha() else core])
    low = dotted.lower()
    name_before, name_behind = (word[:1].isupper() for word in (beside.before, beside.behind))
    named = name_behind or not name_before
    if low == "st.":
        return ("saint", "street") if named else ("street", "saint")
    if low == "dr.":
        return ("doctor", "drive") if named else ("drive", "doctor")
    if low == "no." and beside.behind[:1].isdigit():
        return ("number",)
    return tables.ABBREVIATIONS.get(low) or tables.ABBREVIATIONS.get(f"{low}." if low.count(".") else "") or ()


def _address(core: str) -> Ways:
    """Of the web or of a mailbox."""
    found = _ADDRESS.fullmatch(core)
    if found is None:
        return ()
    path = (found["path"] or "").rstrip("/")
    text = (f"{found['user']}@" if found["user"] else "") + found["host"] + path
    marks = {".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", ":": "colon", "?": "question mark"}
    marks |= {"=": "equals", "&": "and", "#": "hash", "+": "plus", "%": "percent"}
    parts: list[Ways] = []
    for piece in re.findall(r"\d+|[^\W\d_]+|\W|_", text):
        if piece.isdigit():
            parts.append(code(piece))
        elif piece.isalpha():
            parts.append((" ".join(piece),) if piece.lower() == "www" else _word(piece.lower(), piece.upper()))
        elif piece in "-_":
            parts.append((marks[piece], "hyphen", "") if piece == "-" else (marks[piece], ""))
        else:
            parts.append((marks.get(piece, ""),))
    said = joined(parts)
    if found["scheme"]:
        letters = " ".join(found["scheme"])
        said = unique([*said[:12], *(f"{letters} colon slash slash {way}" for way in said[:6])])
    return said


def _word(word: str, capitals: str) -> Ways:
    """A word of an address: short ones without a vowel are spelled out."""
    return (word,) if _VOWELS.search(word) else unique([" ".join(capitals), word])


def _roman(core: str, beside: Beside) -> Ways:
    value = roman_value(core)
    if value is None:
        return ()
    before = beside.before
    if before.lower() in tables.COUNTED:
        return unique([*cardinal(value), *ordinal(value)[:1], core])
    if before in tables.RULERS or (len(core) > 1 and before[:1].isupper() and not beside.capitals):
        first = [f"the {ordinal(value)[0]}", *cardinal(value), ordinal(value)[0]]
        return unique(first if len(core) > 1 else [core, first[0]])
    if len(core) > 1 and not beside.capitals and set(core) <= set("IVX"):
        return unique([*cardinal(value), " ".join(core), f"the {ordinal(value)[0]}"])
    return ()


def _by_pieces(core: str, beside: Beside) -> Ways:
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
            return _date(text)
        case "phone":
            return _phone(text)
        case "dotted":
            if sum(letter.isdigit() for letter in text) > 6 and max(map(int, text.split("."))) > 255:
                return _phone(text)
            parts: list[Ways] = []
            for group in text.split("."):
                parts += [("point", "dot", ""), code(group)]
            return joined(parts[1:])
        case "vulgar":
            return _vulgar(text)
        case "fraction":
            one, other = text.split("/")
            return _fraction(one, other)
        case "range":
            one, other = re.split("[-\u2013]", text)
            return joined([_number(one), ("to", "", "minus", "dash", "through"), _number(other)])
        case "ordinal":
            return ordinal(int(re.sub(r"\D", "", text)))
        case "decade":
            return decade(text.strip("s'"))
        case "grouped" | "decimal":
            return _number(text)
        case "listed":
            return joined([integer(group) for group in text.split(",")])
        case "integer":
            return _integer(text, core, beside, mixed=mixed)
        case "power":
            return _power(text)
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


def _number(text: str) -> Ways:
    whole, point, behind = text.partition(".")
    if point:
        return decimal(whole, behind)
    return grouped(whole) if "," in whole else integer(whole)


def _integer(text: str, core: str, beside: Beside, *, mixed: bool) -> Ways:
    if mixed:
        return code(text)
    day = text == core and len(text) <= 2 and 1 <= int(text) <= 31
    if day and beside.before.lower() in _NAMES:
        return unique([ordinal(int(text))[0], *integer(text), f"the {ordinal(int(text))[0]}"])
    if day and beside.behind in MONTHS:
        return unique([*integer(text), f"the {ordinal(int(text))[0]} of", f"the {ordinal(int(text))[0]}"])
    return integer(text)


def _date(text: str) -> Ways:
    numbers = re.split("[/-]", text)
    year, month, day = numbers if "-" in text else (numbers[2], numbers[0], numbers[1])
    plain = joined([integer(number)[:3] for number in numbers], 6)
    slashed = joined([way for number in numbers for way in (("slash",), integer(number)[:2])][1:], 4)
    if int(month) > 12 and "/" in text:
        month, day = day, month
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return unique([*plain, *slashed])
    name = (MONTHS[int(month) - 1],)
    dated = joined([name, (ordinal(int(day))[0], *cardinal(int(day))), integer(year)], 8)
    return unique([*dated, *plain, *slashed])


def _phone(text: str) -> Ways:
    """Digit by digit where the groups are those of a telephone number; otherwise the groups as numbers."""
    groups = re.findall(r"\d+", text)
    one_by_one, numbers = joined([digits(group) for group in groups], 8), [integer(group) for group in groups]
    count = sum(map(len, groups))
    years = len(groups) == 2 and all(len(group) == 4 and 1000 <= int(group) <= 2100 for group in groups)
    if len(groups) == 2 and (years or count < 7):
        return unique([*joined([numbers[0], ("to", "", "minus", "dash", "through"), numbers[1]], 16), *one_by_one])
    if count < 7:
        return unique([*joined(numbers, 16), *one_by_one])
    return unique([*one_by_one, *joined(numbers, 12)])


def _vulgar(text: str) -> Ways:
    sign = unicodedata.normalize("NFKC", text[-1]).replace("\u2044", "/")
    one, other = sign.split("/") if "/" in sign else (sign, "1")
    part = fraction(int(one or "1"), int(other or "1"))
    if not text[:-1]:
        return part
    return joined([cardinal(int(text[:-1])), unique(f"and {way}" for way in sorted(part, key=_begins_with_one))])


def _begins_with_one(way: str) -> bool:
    return way.startswith("one ")  # "and a half" rather than "and one half"


def _fraction(one: str, other: str) -> Ways:
    apart = joined([integer(one)[:3], ("", "slash", "over", "out of"), integer(other)[:3]], 12)
    named = fraction(int(one), int(other)) if len(one) <= 4 and len(other) <= 4 else ()
    dated: Ways = ()
    if 1 <= int(one) <= 12 and 1 <= int(other) <= 31:
        dated = (f"{MONTHS[int(one) - 1]} {ordinal(int(other))[0]}",)
    return unique([*named, *apart[:8], *dated, *apart[8:]])


def _power(text: str) -> Ways:
    exponent = text.lstrip("^") if text[0] == "^" else "".join(str(SUPERSCRIPTS.index(one)) for one in text)
    named = {"2": ("squared",), "3": ("cubed",)}.get(exponent, ())
    value = int(exponent)
    return unique([*named, f"to the power of {cardinal(value)[0]}", f"to the {cardinal(value)[0]}",
                   f"to the {ordinal(value)[0]}"])  # fmt: skip


def _capitals(word: str, beside: Beside, *, code: bool) -> Ways:
    """A word as it stands, and letter by letter where it may be spelled out."""
    plural = re.fullmatch(r"([A-Z]{2,5})'?s", word)
    letters = plural[1] if plural else word
    if not (2 <= len(letters) <= 6 and letters.isupper() and letters.isalpha()) or (beside.capitals and not code):
        return (word,)
    spelled = " ".join(letters) + ("'s" if plural else "")
    first = code or letters in tables.SPELLED_OUT or not _VOWELS.search(letters)
    return unique([spelled, word] if first else [word, spelled])
