"""How the next id is drawn: settings alone, which are read before anything large is imported."""

from __future__ import annotations

from dataclasses import dataclass

from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next id is drawn; None in its place means the most likely one.

    Attributes:
        temperature: divides the logits, > 0.
        top_k: only the k most likely ids can be drawn; 0 means all.
        top_p: only the most likely ids that together have this probability; 1 means all.
    """

    temperature: float = 0.8
    top_k: int = 25
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.temperature < float("inf") and self.top_k >= 0 and 0 < self.top_p <= 1):
            raise InputError(
                "sampling needs temperature > 0, top_k >= 0 and 0 < top_p <= 1",
                f"temperature = {self.temperature}, top_k = {self.top_k}, top_p = {self.top_p}",
                "for the most likely id give no sampling at all",
            )
