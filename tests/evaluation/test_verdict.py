from __future__ import annotations

import pytest

from smoltolk.evaluation.verdict import compare, judge, points

SS, TS = ("fact_read", "S->S"), ("fact_read", "T->S")
STORY = ("story", "S->S")
AT_CHANCE = {SS: 0.5, TS: 0.5}


def words(verdict):
    return verdict.headline + " " + verdict.statement


def test_claim_is_seen_only_if_every_named_comparison_leaves_zero_out(make_results):
    verdict = judge(make_results(late={SS: 0.7, TS: 0.8}, early=AT_CHANCE, early_plus=AT_CHANCE))
    assert verdict.claim == "seen"
    assert {item.outcome for item in verdict.comparisons} == {"above"}
    assert "not a reproduction of the paper" in verdict.statement


def test_one_of_two(make_results):
    verdict = judge(make_results(late={SS: 0.5, TS: 0.8}, early=AT_CHANCE, early_plus=AT_CHANCE))
    assert verdict.claim == "mixed"
    assert "on T->S only" in verdict.headline
    assert "not reproduced" in verdict.statement


def test_above_chance_but_not_above_equal_parameters(make_results):
    verdict = judge(make_results(late={SS: 0.7, TS: 0.7}, early=AT_CHANCE, early_plus={SS: 0.7, TS: 0.69}))
    assert verdict.claim == "not seen"
    assert "did not lead both baselines" in verdict.headline
    assert "not reproduced" in verdict.statement


def test_nothing_at_all(make_results):
    verdict = judge(make_results(late=AT_CHANCE, early=AT_CHANCE, early_plus=AT_CHANCE))
    assert verdict.claim == "not seen"
    assert verdict.headline.startswith("No sign")


def test_worse_is_said(make_results):
    verdict = judge(make_results(late=AT_CHANCE, early=AT_CHANCE, early_plus={SS: 0.6, TS: 0.5}))
    assert "Late fusion was worse than early fusion+ on S->S." in verdict.statement


def test_a_model_that_follows_no_story_tests_nothing(make_results):
    verdict = judge(make_results(late=AT_CHANCE | {STORY: 0.51}, early=AT_CHANCE, early_plus=AT_CHANCE | {STORY: 0.9}))
    assert verdict.claim == "untestable"
    assert "cannot decide" in verdict.statement


@pytest.mark.parametrize("late", [0.3, 0.5, 0.55, 0.7, 0.9])
@pytest.mark.parametrize("other", [0.3, 0.5, 0.7, 0.9])
def test_never_claims_more_than_the_numbers(make_results, late, other):
    verdict = judge(make_results(late={SS: late, TS: late}, early={SS: other, TS: other}))
    good = late > 0.54 and late - other > 0.03 and late - 0.7 > 0.03
    assert (verdict.claim == "seen") == good
    assert ("not reproduced" in words(verdict)) == (not good)


def test_without_paired_differences_intervals_must_not_overlap(make_results):
    results = make_results(late={SS: 0.6}, early={SS: 0.54})
    assert compare(results, *SS, "early").outcome == "above"  # paired: 0.06 +- 0.03
    del results["differences"]
    assert compare(results, *SS, "early").outcome == "undecided"  # 0.56..0.64 and 0.50..0.58
    assert compare(make_results(late={SS: 0.5}), *SS, "chance").outcome == "undecided"


def test_sentences_carry_the_numbers(make_results):
    sentence = judge(make_results(late={SS: 0.5}, early={SS: 0.6})).sentences[0]
    assert sentence.startswith("S->S: 50.0% (46.0 to 54.0), not told apart from chance, below early fusion")
    assert "−10.0 points, −13.0 to −7.0" in sentence


def test_points():
    assert [points(x) for x in (0.0314, -0.004, 0.0, -0.0004)] == ["+3.1", "−0.4", "0.0", "0.0"]
    assert points(-0.105, 0) == "−10"
