"""By which rule likelihoods become points."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class Rule:
    """What a score means; stored beside every result.

    Attributes:
        normalisation: ``mean`` NLL per scored id, or their ``sum``. Of several codebooks every unit is one.
        scope: score the ``continuation`` only, or the ``whole`` sequence but its first id.
        ties: what equal scores are worth: half a point (a share of it among more than two), nothing, or all if the
            right one is named ``first``, as an argmin has it.
        score_end: whether the end-of-sequence ids count too. Control ids (``<switch>`` and the prompt's
            brackets) never do: the format fixes them.
        first: only so many ids count, the first of the scope; None: all.
        paired: where questions have mirror images, it is their accuracy in pairs that a table shows first.
    """

    normalisation: Literal["mean", "sum"] = "mean"
    scope: Literal["continuation", "whole"] = "continuation"
    ties: Literal["0.5", "wrong", "first"] = "0.5"
    score_end: bool = False
    first: int | None = None
    paired: bool = False

    def __post_init__(self) -> None:
        allowed = {
            "normalisation": ("mean", "sum"),
            "scope": ("continuation", "whole"),
            "ties": ("0.5", "wrong", "first"),
            "score_end": (True, False),
            "paired": (True, False),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"{name} of a scoring rule must be one of {values}",
                    repr(getattr(self, name)),
                    "choose one of them",
                )
        if self.first is not None and (not isinstance(self.first, int) or self.first < 1):
            raise InputError("the first ids that count are one at least", f"first = {self.first}", "give 1 or more")

    def as_dict(self) -> dict[str, Any]:
        """For results files."""
        return asdict(self)
