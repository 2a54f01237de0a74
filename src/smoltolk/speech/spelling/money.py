"""Amounts of money to words."""

from __future__ import annotations

import re

from num2words import num2words

from smoltolk.speech.spelling.numbers import cardinal, decimal, grouped, integer
from smoltolk.speech.spelling.tables import CURRENCIES, SCALE_LETTERS
from smoltolk.speech.spelling.ways import Ways, joined, unique

_SIGN = re.compile(f"[{''.join(CURRENCIES)}]")


def money(text: str, *, scaled: bool = False) -> Ways:
    """An amount with its sign before or behind it: $2.50, \u20ac1,50, 5\u00a3, $5M.

    Args:
        text: one sign, digits, and a letter for thousands and so on perhaps.
        scaled: the next word is its scale, and says the currency.
    """
    sign = _SIGN.search(text)[0]  # type: ignore[index]
    amount = _SIGN.sub("", text).removeprefix("US")
    minus: Ways = ("minus", "negative") if amount.startswith("-") else ("",)
    amount = amount.lstrip("-")
    number = amount.rstrip("kKmMbBntT")
    letters = amount[len(number) :]
    scale = SCALE_LETTERS.get(letters, ("",))
    if re.fullmatch(r"\d+,\d{2}", number):  # as most of Europe writes it
        number = number.replace(",", ".")
    whole, point, fraction = number.partition(".")
    one, many, _, _ = CURRENCIES[sign]
    if scaled:
        return joined([minus, _plain(whole, fraction if point else None)])
    if letters:
        return joined([minus, _plain(whole, fraction if point else None), scale, (many, one)])
    if len(fraction) == 2 and whole:
        return joined([minus, _with_cents(sign, whole, int(fraction), fraction)])
    name = one if number == "1" else many
    return joined([minus, _plain(whole, fraction if point else None), (name, many if name == one else one)])


def money_range(text: str) -> Ways:
    """$5-10."""
    sign = _SIGN.search(text)[0]  # type: ignore[index]
    low, high = (part.partition(".") for part in re.split("[-\u2013]", _SIGN.sub("", text)))
    numbers = [_plain(whole, fraction if point else None) for whole, point, fraction in (low, high)]
    return joined([numbers[0], ("to", "", f"{CURRENCIES[sign][1]} to"), numbers[1], (CURRENCIES[sign][1],)])


def _plain(whole: str, fraction: str | None) -> Ways:
    if fraction is not None:
        return decimal(whole, fraction)
    return grouped(whole) if "," in whole else unique([*cardinal(int(whole)), *integer(whole)])


def _with_cents(sign: str, whole: str, cents: int, fraction: str) -> Ways:
    one, many, cent, cents_name = CURRENCIES[sign]
    value = int(whole.replace(",", ""))
    name = one if value == 1 else many
    full, parts = cardinal(value), num2words(cents).replace("-", " ")
    small = cent if cents == 1 else cents_name
    if cents == 0:
        return unique([*(f"{way} {name}" for way in full), *(f"{way} {many}" for way in decimal(whole, fraction))])
    ways = [f"{way} {name} {mid}" for way in full[:2] for mid in (f"and {parts} {small}", f"{parts} {small}", parts)]
    if value == 0:
        ways = [f"{parts} {small}", *ways]
    between = f"oh {parts}" if cents < 10 else parts
    return unique([*ways, f"{full[0]} {between}", *(f"{way} {many}" for way in decimal(whole, fraction)[:3])])
