"""By which rule likelihoods become points."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class Rule:
    """What a score means; stored beside every result.

    Attributes:
        normalisation: ``mean`` NLL per scored id, or their ``sum``. Of several codebooks every unit is one.
        scope: score the ``continuation`` only, or the ``whole`` sequence but its first id.
        ties: what two equal scores are worth, half a point or nothing.
        score_end: whether the end-of-sequence ids count too. Control ids (``<switch>`` and the prompt's
            brackets) never do: the format fixes them.
    """

    normalisation: Literal["mean", "sum"] = "mean"
    scope: Literal["continuation", "whole"] = "continuation"
    ties: Literal["0.5", "wrong"] = "0.5"
    score_end: bool = False

    def __post_init__(self) -> None:
        allowed = {
            "normalisation": ("mean", "sum"),
            "scope": ("continuation", "whole"),
            "ties": ("0.5", "wrong"),
            "score_end": (True, False),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"{name} of a scoring rule must be one of {values}",
                    repr(getattr(self, name)),
                    "choose one of them",
                )

    def as_dict(self) -> dict[str, str | bool]:
        """For results files."""
        return asdict(self)
