"""Roman numbers."""

from __future__ import annotations

import re

_FORM = re.compile("(?=.)(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def roman_value(text: str) -> int | None:
    """1 to 99 for I to XCIX in capitals; None for anything else."""
    if not _FORM.fullmatch(text):
        return None
    values = [_VALUES[letter] for letter in text]
    return sum(-one if one < next_one else one for one, next_one in zip(values, [*values[1:], 0], strict=True))
