"""One English token to the ways in which it is said: short forms, addresses, Roman numbers, and what is in pieces."""

from __future__ import annotations

import re
from functools import lru_cache

from smoltolk.speech.spelling import tables
from smoltolk.speech.spelling.addresses import address_ways
from smoltolk.speech.spelling.beside import ALONE, Beside
from smoltolk.speech.spelling.characters import clean
from smoltolk.speech.spelling.numbers import cardinal, ordinal
from smoltolk.speech.spelling.pieces import piece_ways
from smoltolk.speech.spelling.roman import roman_value
from smoltolk.speech.spelling.ways import Ways, unique

_OPENING = "\"'([{<\u201c\u201e\u00ab\u2039*_\u00bf\u00a1"
_CLOSING = ".,;:!?\"')]}>\u201d\u00bb\u203a\u2026*_"
_LONG = re.compile(r"\d{40,}")
_PLAIN = re.compile("[A-Z]?[a-z]+(?:'[a-z]+)?")


def bare(token: str) -> str:
    """A token without the marks around it."""
    return clean(token).lstrip(_OPENING).rstrip(_CLOSING)


@lru_cache(maxsize=65_536)
def ways_of(token: str, beside: Beside = ALONE) -> Ways:
    """The ways of saying a token, likeliest first; ``("",)`` where there is nothing to say."""
    ways = _ways_of(token, beside)
    # What is usually left unsaid (a trade mark alone) is, and what may be said is not left out.
    return tuple(filter(None, ways)) if ways[0] else ("",)


def _ways_of(token: str, beside: Beside) -> Ways:
    text = clean(token).lstrip(_OPENING.replace("'", "") if re.match(r"\W*'\d0s", token) else _OPENING)
    text = _LONG.sub(lambda found: " ".join(found[0]), text)  # longer than any number
    dotted = text.rstrip(_CLOSING.replace(".", ""))
    core = text.rstrip(_CLOSING)
    if beside.currency:
        one, many, _, _ = tables.CURRENCIES[beside.currency]
        return unique([f"{core} {many}", f"{core} {one}"])
    if _PLAIN.fullmatch(core) and core == dotted and core not in tables.UNITS:
        return (core,)
    return _short_form(core, dotted, beside) or address_ways(core) or _roman(core, beside) or piece_ways(core, beside)


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
