"""Which rules a run can be judged by, told before it is begun."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from smoltolk.common.errors import InputError
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.feeds import Feed
from smoltolk.evaluation.runs.judging import check_rules, judge
from smoltolk.evaluation.runs.presets import PRESETS, rule_named

SHAPES = ("->S", "S->S", "T->T", "S->T", "T->S")


def feeds_of(rule: str, task: str = "tsc") -> Mapping[str, Mapping[str, Feed]]:
    named = rule_named(rule)
    return {task: {shape: named.for_item(task, not shape.startswith("->")).feed for shape in SHAPES}}


@pytest.mark.parametrize("first", PRESETS)
def test_a_rule_can_judge_what_it_feeds(first: str) -> None:
    check_rules(feeds_of(first), [rule_named(first), rule_named(f"{first},ties=first")], keep_prompts=True)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (("ours", "lf2ar"), "'lf2ar' needs tsc of S->T fed with prefix=10"),
        (("ours", "smoltolk-release"), "begin=none"),
        (("ours", "ours,score_end=yes"), "end=yes"),
        (("lf2ar", "slamkit"), "first rule of a run, here 'lf2ar'"),
    ],
)
def test_a_rule_that_needs_another_feed_is_told_beforehand(rules: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_rules(feeds_of(rules[0]), list(map(rule_named, rules)), keep_prompts=True)


def test_whole_sequences_need_their_prompts() -> None:
    rules = [rule_named("ours,scope=whole")]
    with pytest.raises(InputError, match="--no-prompts"):
        check_rules(feeds_of("ours"), rules, keep_prompts=False)
    check_rules({"sblimp": {"->S": Feed()}}, rules, keep_prompts=False)  # there is no prompt to be kept


def test_without_a_prompt_the_option_is_the_whole() -> None:
    record = {
        "id": "a", "cell": "c", "shape": "->S", "question": "a", "cluster": "a", "rival": "a", "mirror": None,
        "strata": {}, "right": 0, "error": None, "before": None, "nll": [[[1.0, 2.0], [3.0]]], "end": [[[], []]],
    }  # fmt: skip
    (row,) = judge([record], Rule(scope="whole", normalisation="sum"))
    assert row["values"] == [3.0, 3.0]
    with pytest.raises(InputError, match="no-prompts"):
        judge([record | {"shape": "T->S"}], Rule(scope="whole"))
