"""Dates, fractions, telephone numbers and other forms made of digits and signs, to words."""

from __future__ import annotations

import re
import unicodedata

from smoltolk.speech.spelling.characters import SUPERSCRIPTS
from smoltolk.speech.spelling.numbers import (
    MONTHS,
    cardinal,
    code,
    decimal,
    digits,
    fraction,
    grouped,
    integer,
    ordinal,
)
from smoltolk.speech.spelling.ways import Ways, joined, unique


def number_ways(text: str) -> Ways:
    """A number with its commas and its point, if it has some."""
    whole, point, behind = text.partition(".")
    if point:
        return decimal(whole, behind)
    return grouped(whole) if "," in whole else integer(whole)


def date(text: str) -> Ways:
    """12/25/2020 and 2020-05-17: as a date, and the numbers as they stand."""
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


def phone(text: str) -> Ways:
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


def vulgar(text: str) -> Ways:
    """A fraction in one sign, behind a number or alone: 1\u00bd."""
    sign = unicodedata.normalize("NFKC", text[-1]).replace("\u2044", "/")
    one, other = sign.split("/") if "/" in sign else (sign, "1")
    part = fraction(int(one or "1"), int(other or "1"))
    if not text[:-1]:
        return part
    return joined([cardinal(int(text[:-1])), unique(f"and {way}" for way in sorted(part, key=_begins_with_one))])


def _begins_with_one(way: str) -> bool:
    return way.startswith("one ")  # "and a half" rather than "and one half"


def ratio(one: str, other: str) -> Ways:
    """Two numbers with a stroke between them: a fraction, a date, or as they stand."""
    apart = joined([integer(one)[:3], ("", "slash", "over", "out of"), integer(other)[:3]], 12)
    named = fraction(int(one), int(other)) if len(one) <= 4 and len(other) <= 4 else ()
    dated: Ways = ()
    if 1 <= int(one) <= 12 and 1 <= int(other) <= 31:
        dated = (f"{MONTHS[int(one) - 1]} {ordinal(int(other))[0]}",)
    return unique([*named, *apart[:8], *dated, *apart[8:]])


def power(text: str) -> Ways:
    """An exponent, raised or behind ``^``."""
    exponent = text.lstrip("^") if text[0] == "^" else "".join(str(SUPERSCRIPTS.index(one)) for one in text)
    named = {"2": ("squared",), "3": ("cubed",)}.get(exponent, ())
    value = int(exponent)
    return unique([*named, f"to the power of {cardinal(value)[0]}", f"to the {cardinal(value)[0]}",
                   f"to the {ordinal(value)[0]}"])  # fmt: skip


def dotted(text: str) -> Ways:
    """Digits with several points: 1.2.3, 192.168.1.1, 555.123.4567."""
    groups = text.split(".")
    if sum(map(len, groups)) > 6 and max(map(int, groups)) > 255:
        return phone(text)
    parts: list[Ways] = []
    for group in groups:
        parts += [("point", "dot", ""), code(group)]
    return joined(parts[1:])
