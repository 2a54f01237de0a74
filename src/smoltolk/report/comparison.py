"""Late fusion against chance or another system in one cell: above, below, or not told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smoltolk.report.results import CHANCE, cell_of, difference_key

Finding = Literal["above", "below", "undecided"]
FINDINGS: dict[Finding, str] = {"above": "above", "below": "below", "undecided": "not told apart from"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Late fusion against chance or another system in one cell.

    Attributes:
        kind, direction: the cell.
        against: ``chance`` or a system.
        difference, low, high: late minus the other, in accuracy, with its 95% interval.
    """

    kind: str
    direction: str
    against: str
    difference: float
    low: float
    high: float

    @property
    def finding(self) -> Finding:
        """``above`` or ``below`` if the interval leaves zero out, else ``undecided``."""
        return "above" if self.low > 0 else "below" if self.high < 0 else "undecided"


def compare(results: Mapping[str, Any], kind: str, direction: str, against: str, pair: bool = False) -> Comparison:
    """Late fusion against ``against`` in one cell, by single questions or by pairs.

    The paired interval of ``results["differences"]`` is used where it is there; without it the difference of
    two intervals, which is wider: it leaves zero out only if the two do not overlap.
    """
    late = cell_of(results, "late", kind, direction, pair)
    if against == "chance":
        return Comparison(kind, direction, against, *(late[key] - CHANCE for key in ("accuracy", "low", "high")))
    paired = results.get("differences", {}).get(difference_key(against))
    if paired is not None:
        cell = paired[kind][direction]["pair"] if pair else paired[kind][direction]
        return Comparison(kind, direction, against, cell["difference"], cell["low"], cell["high"])
    other = cell_of(results, against, kind, direction, pair)
    gap = late["accuracy"] - other["accuracy"]
    return Comparison(kind, direction, against, gap, late["low"] - other["high"], late["high"] - other["low"])
