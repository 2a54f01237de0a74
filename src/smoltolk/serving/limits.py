"""What a server takes at most."""

from __future__ import annotations

from dataclasses import dataclass, fields

from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server; what passes them is refused with a 4xx.

    Attributes:
        body_bytes: of a request.
        audio_seconds: of all recordings of a request together.
        text_characters: of a text to be spoken or continued.
        new_ids: of a continuation, tokens or units.
        choices: continuations of a request.
        slots: rows that run at once, of each model.
        queue: rows that wait for a slot, and recordings and sounds that wait to be worked on.
        seconds: that a request may take.
        kept_answers: spoken answers that later turns can name.
    """

    body_bytes: int = 16 << 20
    audio_seconds: float = 60.0
    text_characters: int = 4096
    new_ids: int = 1024
    choices: int = 16
    slots: int = 64
    queue: int = 256
    seconds: float = 120.0
    kept_answers: int = 256

    def __post_init__(self) -> None:
        wrong = [one.name for one in fields(self) if not getattr(self, one.name) > 0]
        if wrong:
            found = f"{wrong[0]} = {getattr(self, wrong[0])}"
            raise InputError("limits of a server are above 0", found, "give a larger number")
