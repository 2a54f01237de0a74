"""What a run showed, put into words by rule.

The question is the paper's: does late fusion with multi-level fission carry text knowledge into speech better
than vocabulary expansion? The outcomes that decide are fixed before any run (``results.DECIDING``); an
interval that holds zero decides nothing. The words never say more than the numbers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smoltolk.evaluation.results import BASELINES, CHANCE, DECIDING, difference_key

Outcome = Literal["above", "below", "undecided"]
NAMES = {"late": "late fusion", "early": "early fusion", "early_plus": "early fusion+"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Late fusion against chance or a baseline in one cell.

    Attributes:
        kind, direction: the cell.
        against: ``chance``, ``early`` or ``early_plus``.
        difference, low, high: late minus the other, in accuracy, with its 95% interval.
    """

    kind: str
    direction: str
    against: str
    difference: float
    low: float
    high: float

    @property
    def outcome(self) -> Outcome:
        """``above`` or ``below`` if the interval leaves zero out, else ``undecided``."""
        return "above" if self.low > 0 else "below" if self.high < 0 else "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The words of the page.

    Attributes:
        claim: whether the paper's claim was seen here: ``seen``, ``mixed``, ``not seen`` or ``untestable``.
        headline: one sentence.
        statement: what the headline does and does not mean.
        sentences: one for each deciding outcome.
        comparisons: the deciding comparisons.
    """

    claim: Literal["seen", "mixed", "not seen", "untestable"]
    headline: str
    statement: str
    sentences: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


def compare(results: Mapping[str, Any], kind: str, direction: str, against: str) -> Comparison:
    """Late fusion against ``against`` in one cell.

    The paired interval of ``results["differences"]`` is used where it is there; without it the difference of
    two
    intervals, which is wider: it leaves zero out only if the two do not overlap.
    """
    late = results["models"]["late"][kind][direction]
    if against == "chance":
        return Comparison(kind, direction, against, *(late[key] - CHANCE for key in ("accuracy", "low", "high")))
    paired = results.get("differences", {}).get(difference_key(against))
    if paired is not None:
        cell = paired[kind][direction]
        return Comparison(kind, direction, against, cell["difference"], cell["low"], cell["high"])
    other = results["models"][against][kind][direction]
    return Comparison(
        kind,
        direction,
        against,
        late["accuracy"] - other["accuracy"],
        late["low"] - other["high"],
        late["high"] - other["low"],
    )


def judge(results: Mapping[str, Any]) -> Verdict:
    """Put a run into words.

    Args:
        results: as :func:`smoltolk.evaluation.results.validate_results` accepts them.
    """
    rows = [
        [compare(results, kind, direction, against) for against in ("chance", *BASELINES)]
        for kind, direction in DECIDING
    ]
    above_chance = [row[0].direction for row in rows if row[0].outcome == "above"]
    leads = [row[0].direction for row in rows if all(item.outcome == "above" for item in row)]
    worse = [item for row in rows for item in row[1:] if item.outcome == "below"]
    follows_speech = compare(results, "story", "S->S", "chance").outcome == "above"

    if len(leads) == len(rows):
        claim: Any = "seen"
        headline = "Late fusion carried more of what it had only read into speech than both baselines did"
        statement = (
            "Every comparison that was named before the run leaves zero out. That agrees with the paper's "
            "claim; it is one seed of a small generated world, not a reproduction of the paper's experiments."
        )
    elif leads:
        claim = "mixed"
        headline = f"Mixed: late fusion led chance and both baselines on {leads[0]} only"
        statement = (
            "One of the two outcomes that were named before the run favours late fusion, the other does not. "
            "The paper's claim is not reproduced here."
        )
    elif not follows_speech:
        claim = "untestable"
        headline = "The speech models learnt too little here to say anything about transfer"
        statement = (
            "Late fusion does not tell the right ending of a spoken story from a wrong one (stories S->S are "
            "not above chance): the outcomes below cannot decide. The paper's claim is not reproduced here."
        )
    elif above_chance:
        claim = "not seen"
        headline = (
            f"Facts that were only read were known in speech ({_and(above_chance)}), "
            "but late fusion did not lead both baselines"
        )
        statement = "The paper's claim is not reproduced here."
    else:
        claim = "not seen"
        headline = "No sign that facts that were only read became known in speech"
        statement = (
            "Late fusion is above chance on neither of the two outcomes that were named before the run. "
            "The paper's claim is not reproduced here."
        )
    if worse:
        cases = _and([f"{NAMES[item.against]} on {item.direction}" for item in worse])
        statement += f" Late fusion was worse than {cases}."
    sentences = tuple(_sentence(results, row) for row in rows)
    return Verdict(claim, headline, statement, sentences, tuple(item for row in rows for item in row))


def _sentence(results: Mapping[str, Any], row: list[Comparison]) -> str:
    kind, direction = row[0].kind, row[0].direction
    cell = results["models"]["late"][kind][direction]
    words = {"above": "above", "below": "below", "undecided": "not told apart from"}
    parts = [f"{words[row[0].outcome]} chance"]
    for item in row[1:]:
        parts.append(
            f"{words[item.outcome]} {NAMES[item.against]} ({points(item.difference)} points, "
            f"{points(item.low)} to {points(item.high)})"
        )
    return (
        f"{direction}: {100 * cell['accuracy']:.1f}% "
        f"({100 * cell['low']:.1f} to {100 * cell['high']:.1f}), {_and(parts)}."
    )


def points(fraction: float, digits: int = 1) -> str:
    """A signed number of percentage points, with a real minus sign: ``+3.1``, ``−0.4``, ``0.0``."""
    rounded = round(100 * fraction, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
