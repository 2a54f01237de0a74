"""Digits to words: every way in which English says a number, likeliest first.

The tables of ``tests/speech/spelling/test_numbers.py`` show them line by line.
"""

from __future__ import annotations

from itertools import chain

from num2words import num2words

from smoltolk.speech.spelling.ways import Ways, joined, unique

_LAST_SPELLED = 10**15  # longer numbers are codes: digit by digit
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_PARTS = {2: ("half", "halves"), 4: ("quarter", "quarters")}


def digits(number: str) -> Ways:
    """One by one: "zero" or "oh"; two equal ones in a row may be "double"."""
    names = [num2words(int(digit)) for digit in number]
    ways = [" ".join(names)]
    if "0" in number and len(number) > 1:
        ways.append(" ".join("oh" if name == "zero" else name for name in names))
    if number[:2] == "00" and len(number) == 3:
        ways.append(f"double oh {names[2]}")
    return unique(ways if number != "0" else ["zero", "oh"])


def cardinal(value: int) -> Ways:
    """A quantity: with and without "and", "one hundred" or "a hundred"; digit by digit if it is very long."""
    if value > _LAST_SPELLED:
        return digits(str(value))
    full = _plain(num2words(value))
    ways = [full, full.replace(" and ", " ")]
    if full.startswith(("one hundred", "one thousand", "one million", "one billion")):
        ways += [way.replace("one", "a", 1) for way in ways]
    return unique(ways)


def pairs(number: str) -> Ways:
    """Three or four digits by twos: 1984, 101, 234; none where nobody says it so."""
    if len(number) not in (3, 4) or number[0] == "0":
        return ()
    head, tail = number[:-2], number[-2:]
    first = _plain(num2words(int(head)))
    if tail == "00":
        return (f"{first} hundred",) if len(number) == 4 and head[1] != "0" else ()
    if tail[0] == "0":
        return (f"{first} oh {num2words(int(tail))}",)
    return (f"{first} {_plain(num2words(int(tail)))}",)


def hundreds(number: str) -> Ways:
    """Four digits by hundreds: 8500, 1234."""
    if len(number) != 4 or "0" in number[:2]:
        return ()
    first, rest = num2words(int(number[:2])), int(number[2:])
    behind = (f"and {_plain(num2words(rest))}", _plain(num2words(rest))) if rest else ("",)
    return unique(f"{_plain(first)} hundred {way}" for way in behind)


def integer(number: str) -> Ways:
    """Digits without commas: a quantity, a year, or digits of a code."""
    if len(number) > 1 and number[0] == "0":
        return unique([*digits(number), _plain(num2words(int(number)))] if len(number) < 8 else digits(number))
    if int(number) > _LAST_SPELLED:
        return digits(number)
    quantity = cardinal(int(number))
    if len(number) == 4 and (1100 <= int(number) < 2000 or 2010 <= int(number) < 2100):
        return unique([*pairs(number), *quantity, *hundreds(number), *digits(number)])
    return unique([*quantity, *pairs(number), *hundreds(number), *digits(number)])


def code(number: str) -> Ways:
    """Digits among letters: H.323, B2B."""
    ways = integer(number)
    return unique([*digits(number), *pairs(number), *ways]) if len(number) > 2 else ways


def grouped(number: str) -> Ways:
    """A quantity with commas between its thousands: 1,234."""
    plain = number.replace(",", "")
    return unique([*cardinal(int(plain)), *hundreds(plain), *pairs(plain)]) if len(plain) <= 15 else digits(plain)


def decimal(whole: str, fraction: str) -> Ways:
    """Digits before and behind a point; nothing before it: .5"""
    behind = digits(fraction)
    if len(fraction) == 2 and fraction[0] != "0":
        behind = unique([*behind, _plain(num2words(int(fraction)))])
    before = ("", "zero", "oh") if not whole else ("zero", "", "oh") if whole == "0" else grouped(whole)
    return joined([before, ("point",), behind])


def ordinal(value: int) -> Ways:
    """A place in a row: 21st, 100th."""
    full = _plain(num2words(value, to="ordinal")) if value <= _LAST_SPELLED else digits(str(value))[0]
    ways = [full, full.replace(" and ", " ")]
    if full.startswith(("one hundred", "one thousand")):
        ways += [way.replace("one", "a", 1) for way in ways]
    return unique(ways)


def decade(number: str) -> Ways:
    """1990s, 80s, 2000s, 1900s."""
    if len(number) == 4 and number.endswith("000"):
        return (f"{num2words(int(number[0]))} thousands",)
    if len(number) == 4 and number.endswith("00"):
        return (f"{_plain(num2words(int(number[:2])))} hundreds",)
    head, tail = (number[:-2], number[-2:]) if len(number) > 2 else ("", number)
    plural = (
        f"{num2words(int(tail))[:-1]}ies" if tail[1] == "0" and tail[0] > "1" else f"{_plain(num2words(int(tail)))}s"
    )
    before = _plain(num2words(int(head))) if head else ""
    return unique([f"{before} {plural}", *((plural,) if head else ())])


def fraction(numerator: int, denominator: int) -> Ways:
    """1/2, 3/4, 5/8: as a part, and the two numbers as they stand."""
    if not 2 <= denominator <= 1000:
        return ()
    one, many = _PARTS.get(denominator, (ordinal(denominator)[0], f"{ordinal(denominator)[0]}s"))
    named = [(one, many)]
    if denominator == 4:
        named.append(("fourth", "fourths"))
    if numerator == 1:
        parts = chain(*([f"one {name}", f"a{'n' if name[0] in 'aeiou' else ''} {name}"] for name, _ in named))
        return unique([*parts, *(["half"] if denominator == 2 else [])])
    return unique(f"{_plain(num2words(numerator))} {name}" for _, name in named)


def clock(hour: int, minute: int) -> Ways:
    """7:05, 19:30."""
    named = _plain(num2words(hour))
    if minute == 0:
        return unique([f"{named} o'clock", named, f"{named} hundred", f"{named} zero zero"])
    past = _plain(num2words(minute))
    ways = [f"{named} oh {past}", f"{named} zero {past}"] if minute < 10 else [f"{named} {past}"]
    next_hour = _plain(num2words(hour % 12 + 1))
    clocks = {15: f"a quarter past {named}", 30: f"half past {named}", 45: f"a quarter to {next_hour}"}
    if minute in clocks:
        ways += [clocks[minute], clocks[minute].removeprefix("a ")]
    return unique(ways)


def _plain(words: str) -> str:
    return words.replace("-", " ").replace(",", "")
