"""What a run showed, put into words by rule.

The question is the paper's: does late fusion with multi-level fission carry text knowledge into speech better
than vocabulary expansion? The outcomes that decide are fixed before any run (``results.OUTCOMES``); an
interval that holds zero decides nothing. The words never say more than the numbers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smoltolk.report.comparison import FINDINGS, Comparison, compare
from smoltolk.report.results import BASELINES, COMPARED, OUTCOMES, Outcome, cell_of, shown_systems
from smoltolk.report.titles import OUTCOME_PLACES, SYSTEM_NAMES
from smoltolk.report.wording import listed, percent, points

Claim = Literal["seen", "mixed", "not seen", "untestable"]
_NUMBERS = ("None", "One", "Two", "Three", "All four")
# Two outcomes that are one in words where both came out alike.
_SPOKEN = ("answer S->S", "answer T->S")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one declared outcome came to.

    Attributes:
        outcome: which.
        comparisons: late fusion against chance and each baseline.
        sentence: the numbers, in words.
    """

    outcome: Outcome
    comparisons: tuple[Comparison, ...]
    sentence: str

    @property
    def leads(self) -> bool:
        """Whether late fusion is above chance and every baseline."""
        return all(item.finding == "above" for item in self.comparisons)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The words of the page.

    Attributes:
        claim: whether the paper's claim was seen here: ``seen``, ``mixed``, ``not seen`` or ``untestable``.
        headline: one sentence.
        statement: what the headline means.
        limits: what it does not mean, whichever it is.
        rulings: one for each of ``results.OUTCOMES``, in their order.
    """

    claim: Claim
    headline: str
    statement: str
    limits: str
    rulings: tuple[Ruling, ...]


def judge(results: Mapping[str, Any]) -> Verdict:
    """Put a run into words.

    Args:
        results: as :func:`smoltolk.report.results.validate_results` accepts them.
    """
    rulings = tuple(_ruling(results, outcome) for outcome in OUTCOMES)
    claim, headline, statement = _claim(results, rulings)
    worse = [
        f"{SYSTEM_NAMES[item.against]} {OUTCOME_PLACES[ruling.outcome.name]}"
        for ruling in rulings
        for item in ruling.comparisons[1:]
        if item.finding == "below"
    ]
    if worse:
        statement += f" Late fusion was worse than {listed(worse)}."
    return Verdict(claim, headline, statement + _longer(results, rulings), _limits(results), rulings)


def _claim(results: Mapping[str, Any], rulings: Sequence[Ruling]) -> tuple[Claim, str, str]:
    leading, others = ([r for r in rulings if r.leads is leads] for leads in (True, False))
    known = [ruling for ruling in rulings if ruling.comparisons[0].finding == "above"]
    if not others:
        return (
            "seen",
            "Late fusion carried more of what it had only read into listening and speech than both baselines did",
            "Every comparison that was named before the run leaves zero out: facts that stood in text alone are "
            "known where the model listens and where it speaks, and better than with early fusion, be it as it is "
            "or with as many layers. That agrees with the paper's claim.",
        )
    if leading:
        return (
            "mixed",
            f"Mixed: on facts only read, late fusion was above chance and both baselines {_places(leading, 'and')}, "
            f"but not {_places(others, 'or')}",
            f"{_NUMBERS[len(leading)]} of the four outcomes that were named before the run "
            f"{'favours' if len(leading) == 1 else 'favour'} late fusion: what it read is known there, and better than "
            f"with either kind of early fusion. For the {'other' if len(others) == 1 else 'others'} ("
            f"{_places(others, 'and')}) this is not shown. That is a part of the paper's claim, at most.",
        )
    if compare(results, "story", "S->S", "chance").finding != "above":
        return (
            "untestable",
            "The speech models learnt too little here to say anything about transfer",
            "Late fusion does not tell the right ending of a spoken story from a wrong one (stories S->S are "
            "not above chance): the outcomes below cannot decide. The paper's claim is not reproduced here.",
        )
    if known:
        return (
            "not seen",
            f"Late fusion knew facts that it had only read {_places(known, 'and')}, "
            "but it did not lead both baselines there",
            "The paper's claim is not reproduced here.",
        )
    return (
        "not seen",
        "No sign that late fusion knows facts that were only read where it listens or speaks",
        "Late fusion is above chance on none of the four outcomes that were named before the run. "
        "The paper's claim is not reproduced here.",
    )


def _places(rulings: Sequence[Ruling], last: str) -> str:
    """Where, in words: ``in what it writes after listening and inside while it listens``."""
    names = [ruling.outcome.name for ruling in rulings]
    words = [OUTCOME_PLACES[name] for name in names]
    if set(_SPOKEN) <= set(names):
        words = [OUTCOME_PLACES[name] for name in names if name not in _SPOKEN]
        words.insert(names.index(_SPOKEN[0]), "in what it says")
    return listed(words, last)


def _longer(results: Mapping[str, Any], rulings: Sequence[Ruling]) -> str:
    """What further systems take away from a lead; they decide nothing."""
    words = ""
    for system in shown_systems(results)[len(COMPARED) :]:
        for finding, verb in (("below", "is above"), ("undecided", "is not told apart from")):
            caught = [r for r in rulings if _against(results, r.outcome, system).finding == finding]
            if finding == "undecided":
                caught = [ruling for ruling in caught if ruling.leads]
            if caught:
                name = SYSTEM_NAMES[system]
                words += f" {name[0].upper()}{name[1:]} {verb} late fusion {_places(caught, 'and')}."
    return words


def _against(results: Mapping[str, Any], outcome: Outcome, against: str) -> Comparison:
    return compare(results, outcome.kind, outcome.direction, against, pair=True)


def _ruling(results: Mapping[str, Any], outcome: Outcome) -> Ruling:
    comparisons = tuple(_against(results, outcome, against) for against in ("chance", *BASELINES))
    cells = {
        system: cell_of(results, system, outcome.kind, outcome.direction, pair=True)
        for system in shown_systems(results)
    }
    parts = [f"{FINDINGS[comparisons[0].finding]} chance"]
    for item in comparisons[1:]:
        gap = f"{points(item.difference)} points, {points(item.low)} to {points(item.high)}"
        parts.append(f"{FINDINGS[item.finding]} {SYSTEM_NAMES[item.against]} ({gap})")
    sentence = f"Late fusion is right in {_share(cells['late'])} of {cells['late']['n']} pairs: {listed(parts)}."
    for system in (system for system in cells if system not in COMPARED):
        name = SYSTEM_NAMES[system]
        sentence += f" {name[0].upper()}{name[1:]}: {_share(cells[system])}."
    return Ruling(outcome, comparisons, sentence)


def _share(cell: Mapping[str, Any]) -> str:
    return f"{percent(cell['accuracy'])}% ({percent(cell['low'])} to {percent(cell['high'])})"


def _limits(results: Mapping[str, Any]) -> str:
    own = results.get("settings", {}).get("text_model", "trained here") != "trained here"
    tiny = "The scale tiny shows that every step works; it is too small to learn anything. "
    return (tiny if results["scale"] == "tiny" else "") + (
        "This is one seed of one small generated world and of its models: synthetic voices, units supervised by phone "
        f"labels, {'a' if own else 'a small'} text model trained on this same world's text. Another seed can move "
        "every figure. It is not a reproduction of the paper's experiments, and says nothing about natural speech or "
        "large models."
    )
