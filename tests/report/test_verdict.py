from __future__ import annotations

import copy
from itertools import product

import pytest

from smoltolk.report.results import BASELINES, OUTCOMES, difference_key, validate_results
from smoltolk.report.verdict import judge

WRITES, SPEAKS, READS, INSIDE = ((outcome.kind, outcome.direction) for outcome in OUTCOMES)
ALL = (WRITES, SPEAKS, READS, INSIDE)
AT_CHANCE = dict.fromkeys(ALL, 0.5)


@pytest.fixture
def pairs_of(make_results):
    """``pairs_of(late={cell: accuracy of pairs})``."""

    def make(**systems):
        results = make_results(pairs={"early": AT_CHANCE, "early_plus": AT_CHANCE} | systems)
        validate_results(results)
        return results

    return make


def words(verdict):
    return verdict.headline + " " + verdict.statement


def test_claim_is_seen_only_if_every_named_comparison_leaves_zero_out(pairs_of):
    verdict = judge(pairs_of(late=dict.fromkeys(ALL, 0.8)))
    assert verdict.claim == "seen"
    assert {item.finding for ruling in verdict.rulings for item in ruling.comparisons} == {"above"}


@pytest.mark.parametrize("outcome", range(4))
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("bound", [0.001, -0.001])
def test_one_interval_moved_across_zero_takes_the_claim_away(pairs_of, outcome, baseline, bound):
    results = pairs_of(late=dict.fromkeys(ALL, 0.8))
    kind, way = ALL[outcome]
    results["differences"][difference_key(baseline)][kind][way]["pair"]["low"] = bound
    verdict = judge(results)
    assert verdict.claim == ("seen" if bound > 0 else "mixed")
    assert [ruling.leads for ruling in verdict.rulings] == [bound > 0 or place != outcome for place in range(4)]


@pytest.mark.parametrize("outcome", range(4))
def test_chance_decides_too(pairs_of, outcome):
    kind, way = ALL[outcome]
    results = pairs_of(late=dict.fromkeys(ALL, 0.8))
    cell = results["models"]["late"][kind][way]
    (cell["3"] if kind == "lens" else cell)["pair"]["low"] = 0.49
    assert judge(results).claim == "mixed"


def test_single_questions_decide_nothing(make_results):
    results = make_results(pairs={system: AT_CHANCE for system in ("late", *BASELINES)}, late=dict.fromkeys(ALL, 0.99))
    assert judge(results).claim == "not seen"


def test_mixed_names_what_is_shown_and_what_is_not(pairs_of):
    verdict = judge(pairs_of(late=AT_CHANCE | {WRITES: 0.8, INSIDE: 0.7}))
    assert verdict.claim == "mixed"
    shown, missing = verdict.headline.split(", but not ")
    assert "in what it writes after listening and inside while it listens" in shown
    assert missing == "in what it says"
    assert verdict.statement.startswith("Two of the four outcomes")

    verdict = judge(pairs_of(late=AT_CHANCE | {READS: 0.8}))
    assert "in what it says after reading, but not" in verdict.headline
    assert verdict.headline.endswith(
        "in what it writes after listening, in what it says after listening or inside while it listens"
    )
    assert "One of the four outcomes that were named before the run favours" in verdict.statement

    verdict = judge(pairs_of(late=dict.fromkeys(ALL, 0.8) | {SPEAKS: 0.5}))
    assert verdict.headline.endswith("but not in what it says after listening")
    assert "For the other (in what it says after listening) this is not shown" in verdict.statement


def test_above_chance_but_not_above_equal_parameters(pairs_of):
    good = dict.fromkeys(ALL, 0.7)
    verdict = judge(pairs_of(late=good, early_plus=good))
    assert verdict.claim == "not seen"
    assert "did not lead both baselines" in verdict.headline
    assert "not reproduced" in verdict.statement


def test_nothing_at_all(pairs_of):
    verdict = judge(pairs_of(late=AT_CHANCE))
    assert verdict.claim == "not seen"
    assert verdict.headline.startswith("No sign")


def test_worse_is_said(pairs_of):
    verdict = judge(pairs_of(late=AT_CHANCE, early_plus=AT_CHANCE | {SPEAKS: 0.6}))
    assert "Late fusion was worse than early fusion+ in what it says after listening." in verdict.statement


def test_a_model_that_follows_no_story_tests_nothing(make_results):
    pairs = {system: AT_CHANCE for system in ("late", *BASELINES)}
    verdict = judge(make_results(pairs=pairs, late={("story", "S->S"): 0.51}, early_plus={("story", "S->S"): 0.9}))
    assert verdict.claim == "untestable"
    assert "cannot decide" in verdict.statement


@pytest.mark.parametrize(("late", "early", "plus"), product([0.3, 0.5, 0.54, 0.7, 0.9], [0.3, 0.5, 0.7], [0.3, 0.68]))
def test_never_claims_more_than_the_numbers(pairs_of, late, early, plus):
    verdict = judge(
        pairs_of(**{s: dict.fromkeys(ALL, x) for s, x in (("late", late), ("early", early), ("early_plus", plus))})
    )
    # Half widths of the invented intervals: 0.05 of an accuracy, 0.03 of a difference.
    good = late > 0.55 and late - early > 0.03 and late - plus > 0.03
    assert (verdict.claim == "seen") == good
    assert ("not reproduced" in words(verdict)) == (not good)
    assert ("worse" in words(verdict)) == (late - early < -0.03 or late - plus < -0.03)


def test_longer_training_decides_nothing_but_what_it_takes_away_is_said(pairs_of):
    good = dict.fromkeys(ALL, 0.8)
    behind, equal, ahead = (judge(pairs_of(late=good, early_long=good | {WRITES: x})) for x in (0.6, 0.8, 0.9))
    plain = judge(pairs_of(late=good))
    assert {verdict.claim for verdict in (behind, equal, ahead, plain)} == {"seen"}
    assert "three times" not in words(plain) + plain.rulings[0].sentence
    assert "is not told apart from late fusion in what it says and inside while it listens." in behind.statement
    assert "is above late fusion in what it writes after listening." in ahead.statement
    assert "Early fusion trained three times as long: 60.0% (55.0 to 65.0)." in behind.rulings[0].sentence


def test_sentences_carry_the_numbers(pairs_of):
    sentences = [r.sentence for r in judge(pairs_of(late=AT_CHANCE, early=AT_CHANCE | {SPEAKS: 0.6})).rulings]
    assert sentences[1].startswith(
        "Late fusion is right in 50.0% (45.0 to 55.0) of 250 pairs: not told apart from chance, below early fusion "
    )
    assert "−10.0 points, −13.0 to −7.0" in sentences[1]


def test_limits_are_said_whatever_came_out(pairs_of):
    results = pairs_of(late=AT_CHANCE)
    said = judge(results).limits
    for part in ("one seed", "synthetic voices", "supervised", "a small text model", "not a reproduction of the paper"):
        assert part in said
    assert judge(pairs_of(late=dict.fromkeys(ALL, 0.9))).limits == said
    own = copy.deepcopy(results) | {"settings": {"text_model": "someone/large"}}
    assert "small text model" not in judge(own).limits
    assert "too small to learn anything" not in said
    assert judge(results | {"scale": "tiny"}).limits.startswith("The scale tiny shows that every step works; it is too")
