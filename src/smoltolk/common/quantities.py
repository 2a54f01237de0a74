"""Times and sizes in the units in which a person reads them."""

from __future__ import annotations

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def duration(seconds: float, digits: int = 1) -> str:
    """``131`` -> ``2 min 11 s``; days and hours from two days on.

    Args:
        seconds: 0 or more.
        digits: behind the point, below ten seconds.
    """
    least = 10.0**-digits
    if 0 < seconds < least / 2:
        return f"less than {least:g} s"
    if seconds < 10:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24:,} days {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size(num_bytes: float) -> str:
    """``3_210_000`` -> ``3.21 MB``: three digits that matter, of powers of 1,000."""
    value, unit = float(num_bytes), 0
    while value >= 999.5 and unit + 1 < len(_SIZES):
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f} {_SIZES[unit]}"
