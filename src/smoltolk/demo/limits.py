"""What visitors of the page may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a visitor may ask for.

    Attributes:
        seconds: of a recording.
        letters: of a text.
        answer_seconds: of a spoken answer.
        answer_tokens: of a written one.
        waiting: visitors in line.
    """

    seconds: float = 30.0
    letters: int = 2000
    answer_seconds: float = 20.0
    answer_tokens: int = 200
    waiting: int = 16
