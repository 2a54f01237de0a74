"""What a model reads for an item, id by id."""

from __future__ import annotations

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.evaluation.runs.feeds import Feed, fed
from smoltolk.evaluation.runs.presets import PRESETS, differences_of_feed, rule_named
from smoltolk.model.ids import IdSpace

UNITS, WORDS = np.array([1, 2, 3]), np.array([4, 5])


def ids_of(space: IdSpace, feed: Feed, prompt, option, prefix=None):
    one = fed(space, feed, prompt, option, prefix)
    alone = None if one.prompt is None else (list(one.prompt.ids), one.prompt.start)
    return list(one.whole.ids), one.whole.start, alone


def test_begin_and_end(ids: IdSpace) -> None:
    spoken, heard = [(True, UNITS)], [ids.speech_offset + unit for unit in UNITS]
    written = [(False, WORDS)]
    assert ids_of(ids, Feed(), [], spoken) == ([ids.eos_speech, *heard], 1, None)
    assert ids_of(ids, Feed(end=True), [], spoken) == ([ids.eos_speech, *heard, ids.eos_speech], 1, None)
    assert ids_of(ids, Feed(begin="none"), [], spoken) == (heard, 1, None)
    before = [ids.eos_speech, *heard, ids.switch]
    assert ids_of(ids, Feed(), spoken, written) == ([*before, *WORDS], 5, (before, 1))
    assert ids_of(ids, Feed(begin="none"), spoken, written) == ([*before[1:], *WORDS], 4, (before[1:], 1))
    assert ids_of(ids, Feed(), written, written)[:2] == ([ids.eos_text, *WORDS, *WORDS], 3)
    with pytest.raises(InputError, match="two ids"):
        fed(ids, Feed(begin="none"), [], [(True, UNITS[:1])], None)
    with pytest.raises(InputError, match="hold something"):
        fed(ids, Feed(), [(True, UNITS[:0])], written, None)


@pytest.mark.parametrize("change", ["prefix=-1", "prefix=ten", "prefix=1.5", "first=0", "first", "first=x", "ties=2"])
def test_changes_of_a_rule_that_mean_nothing(change: str) -> None:
    with pytest.raises(InputError, match=change.partition("=")[0]):
        rule_named(f"ours,{change}")


def test_a_prefix_with_a_switch_and_without(ids: IdSpace) -> None:
    prefix, heard = np.array([7, 8]), [ids.speech_offset + unit for unit in UNITS]
    found, start, alone = ids_of(ids, Feed(prefix=2), [(True, UNITS)], [(False, WORDS)], prefix)
    assert found == [ids.eos_text, 7, 8, ids.switch, *heard, ids.switch, *WORDS] and start == 8
    assert alone is not None and alone[0] == found[:8]
    bare = Feed(begin="none", prefix=2, prefix_switch=False)
    found, start, alone = ids_of(ids, bare, [(True, UNITS)], [(False, WORDS)], prefix)
    assert found == [7, 8, *heard, ids.switch, *WORDS] and start == 6


def test_equal_units_at_the_joint_become_one_if_asked(ids: IdSpace) -> None:
    option = [(True, np.array([3, 6]))]
    kept, _, _ = ids_of(ids, Feed(), [(True, UNITS)], option)
    collapsed, start, _ = ids_of(ids, Feed(joint="collapsed"), [(True, UNITS)], option)
    assert [one - ids.speech_offset for one in kept[1:]] == [1, 2, 3, 3, 6]
    assert [one - ids.speech_offset for one in collapsed[1:]] == [1, 2, 3, 6] and start == 4
    other = [(True, np.array([2, 6]))]
    assert ids_of(ids, Feed(joint="collapsed"), [(True, UNITS)], other) == ids_of(ids, Feed(), [(True, UNITS)], other)


def test_rules_by_name() -> None:
    assert rule_named("lf2ar") == PRESETS["lf2ar"]
    changed = rule_named("ours,normalisation=sum,first=50,ties=first,paired=yes,begin=none")
    assert (changed.rule.normalisation, changed.rule.first, changed.rule.ties) == ("sum", 50, "first")
    assert changed.rule.paired and changed.feed == Feed(begin="none")
    assert rule_named("ours,score_end=yes").feed.end  # what is scored must be fed
    assert differences_of_feed(PRESETS["slamkit"].feed, Feed()) == ["end=True", "joint=together"]
    for text, found in (
        ("theirs", "theirs"),
        ("ours,loud=1", "loud=1"),
        ("ours,ties=odd", "odd"),
        ("ours,first=0", "0"),
    ):
        with pytest.raises(InputError, match=found):
            rule_named(text)


def test_the_release_has_other_formats_for_other_items() -> None:
    """Its script for recordings feeds <eos> first, that for prompts does not; the official scorer halves ties."""
    release = rule_named("smoltolk-release")
    assert release.for_item("tsc", has_prompt=False).feed.begin == "eos"
    assert release.for_item("tsc", has_prompt=True).feed == Feed(begin="none", prefix=10, prefix_switch=False)
    assert release.for_item("sblimp", has_prompt=False).rule.ties == "0.5"
    assert release.for_item("ssc", has_prompt=False).rule.ties == "wrong"
    assert rule_named("ours").for_item("sblimp", has_prompt=False) == PRESETS["ours"]
