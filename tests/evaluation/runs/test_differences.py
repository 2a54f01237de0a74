"""What two runs differ by, against figures worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from smoltolk.evaluation.intervals import paired_difference
from smoltolk.evaluation.runs.differences import other_items, run_differences
from smoltolk.evaluation.runs.presets import rule_named
from smoltolk.evaluation.runs.records import Record, record_of
from smoltolk.evaluation.tasks.items import Item, Segment

OURS = rule_named("ours")


def records_of(rights: Sequence[int], **about: Sequence[str]) -> list[Record]:
    """A question each: an option of one unit, that of the right one likelier where the question is right."""
    records = []
    for number, is_right in enumerate(rights):
        one = {key: values[number] for key, values in about.items()}
        strata = {"type": one.pop("type")} if "type" in one else {}
        item = Item(f"q{number}", "S->S", (), ((Segment("a"),), (Segment("b"),)), strata=strata, **one)
        nll = [[[1.0 if is_right else 3.0], [2.0]]]
        records.append(record_of(item) | {"shape": "->S", "nll": nll})
    return records


def test_a_difference_is_of_the_second_run_to_the_first_item_by_item() -> None:
    first, second = records_of([1, 1, 1, 0, 0, 0]), records_of([0, 1, 1, 1, 1, 0])
    found = run_differences("choices", first, second, OURS, 0)["S->S"]
    by_hand = np.array([-1, 0, 0, 1, 1, 0])
    assert found["difference"] == pytest.approx(1 / 6) and found["n"] == 6
    expected = paired_difference(by_hand, np.zeros(6), [f"q{number}" for number in range(6)], seed=0)
    assert (found["low"], found["high"]) == (expected.low, expected.high)
    same = run_differences("choices", first, first, OURS, 0)["S->S"]
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)


def test_the_order_of_records_does_not_matter_and_unscored_items_are_left_out() -> None:
    first, second = records_of([1, 1, 1, 0, 0, 0]), records_of([0, 1, 1, 1, 1, 0])
    second[0] |= {"error": "too long", "nll": None}
    found = run_differences("choices", first, second[::-1], OURS, 0)["S->S"]
    assert found["difference"] == pytest.approx(2 / 5) and found["n"] == 5


def test_voices_of_a_question_are_one_item() -> None:
    asked = {"question": ["one", "one", "two", "three"]}
    found = run_differences("swuggy", records_of([1, 1, 0, 0], **asked), records_of([1, 0, 1, 0], **asked), OURS, 0)
    assert found["S->S"]["n"] == 3 and found["S->S"]["difference"] == pytest.approx((-1 / 2 + 1 + 0) / 3)


def test_types_count_alike_and_a_loss_may_leave_nought_below() -> None:
    kinds = {"type": ["x", "x", "x", "y"]}
    first, second = records_of([1, 1, 1, 1], **kinds), records_of([1, 1, 1, 0], **kinds)
    found = run_differences("sblimp", first, second, OURS, 0)["S->S"]
    assert found["difference"] == pytest.approx(-0.5)  # 0 of the one type and -1 of the other
    assert -1 <= found["low"] <= -0.5 <= found["high"] <= 0


def test_mirrored_questions_are_told_in_pairs() -> None:
    asked = {"mirror": ["q1", "q0", "q3", "q2"], "cluster": ["f", "f", "g", "g"], "rival": ["g", "g", "f", "f"]}
    # One nat for and one nat against is a tie in a pair; both for is a pair that is right.
    first, second = records_of([1, 0, 1, 0], **asked), records_of([1, 1, 1, 1], **asked)
    found = run_differences("choices", first, second, OURS, 0)["S->S"]
    assert found["difference"] == pytest.approx(0.5)
    assert found["pair"]["difference"] == pytest.approx(0.5) and found["pair"]["n"] == 2


def test_of_a_single_question_nothing_is_known_beyond_it() -> None:
    found = run_differences("choices", records_of([0]), records_of([1]), OURS, 0)["S->S"]
    assert found == {"difference": 1.0, "low": -1.0, "high": 1.0, "n": 1}


def test_written_answers_have_their_points() -> None:
    first = [{"id": f"{n}", "references": ["x"], "error": None, "answer": "x" if n < 2 else "y"} for n in range(4)]
    second = [{**row, "answer": "an x"} for row in first]
    second[3] = {"id": "3", "references": ["x"], "error": "no unit"}
    found = run_differences("trivia-qa", first, second, None, 0)["S->T"]
    assert found["difference"] == pytest.approx(1 / 4) and found["n"] == 4


def test_other_items_are_noticed() -> None:
    first = records_of([1, 1, 0])
    assert other_items(first, records_of([0, 0, 0])[::-1]) is None
    assert other_items(first, first[:2]) == "1 items of the one and 0 of the other stand alone"
    changed = [{**row, "options": ["a", "c"]} if row["id"] == "q1" else row for row in first]
    assert other_items(first, changed) == "1 items of the same name differ, 'q1' first"
