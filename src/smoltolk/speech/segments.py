"""A word or a phone with its time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a waveform that carries a name.

    Args:
        text: the word as written, or the name of the phone.
        start: where it begins, in seconds from the start of the waveform.
        end: where it ends, in seconds; never before ``start``.
    """

    text: str
    start: float
    end: float
