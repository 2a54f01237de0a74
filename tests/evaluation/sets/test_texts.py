"""What small sets say: what is wrong is wrong, what is right is so, and nothing hints at which is which."""

from __future__ import annotations

from collections import Counter

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.world.stories import World
from smoltolk.evaluation.sets import texts


@pytest.fixture(scope="module")
def large() -> World:
    """As large as the quick start's."""
    return World(0, 240)


def test_nonwords_are_no_words_and_a_quarter_was_never_heard(large: World) -> None:
    pairs = texts.word_pairs(large, 40, 3)
    assert len({pair.right for pair in pairs}) == 40
    for pair in pairs:
        assert pair.wrong not in large.vocabulary and pair.wrong[1:] == pair.right[1:]
        assert (pair.strata["frequency"] == "0") == (pair.right in texts.UNHEARD)
    assert sum(pair.strata["frequency"] == "0" for pair in pairs) == 10
    assert texts.word_pairs(large, 40, 3) == pairs != texts.word_pairs(large, 40, 4)
    with pytest.raises(InputError, match="ask for fewer"):
        texts.word_pairs(large, 4000, 0)


def test_sentences_of_every_type_with_one_mistake(large: World) -> None:
    pairs = texts.sentence_pairs(large, 30, 0)
    assert Counter(pair.strata["type"] for pair in pairs) == {
        "subject_verb_agreement": 10, "determiner_noun_agreement": 10, "argument_structure": 10
    }  # fmt: skip
    assert len({pair.right for pair in pairs}) == 30
    for pair in pairs:
        right, wrong = pair.right.rstrip(".").split(), pair.wrong.rstrip(".").split()
        assert len(right) == len(wrong) and right != wrong
        differing = sum(one != other for one, other in zip(right, wrong, strict=True))
        if pair.strata["type"] == "argument_structure":
            assert differing == 2 and sorted(right) == sorted(wrong)
        else:
            assert differing == 1
    with pytest.raises(InputError, match="ask for fewer"):
        texts.sentence_pairs(World(0, 12), 1500, 0)


def test_endings_are_right_once_and_wrong_once(large: World) -> None:
    for choices in (texts.topic_choices(large, 20), texts.story_choices(large, 20)):
        last = [Counter(choice.endings[k].split()[-1] for choice in choices) for k in (0, 1)]
        assert last[0] == last[1]  # a liking for a feeling is worth nothing
    for choice in texts.story_choices(large, 20):
        right, wrong = (ending.split() for ending in choice.endings)
        assert right[:-1] == wrong[:-1] and right[-1] != wrong[-1]
    facts = texts.fact_choices(large, 20, heard=False)
    mirrors = {choice.id: choice.mirror for choice in facts}
    assert all(mirrors[mirror] == name for name, mirror in mirrors.items() if mirror)
    assert all(not large.fact(choice.cluster).heard for choice in facts)


def test_one_of_four_answers(large: World) -> None:
    choices = texts.four_choices(large, 24, 0)
    assert {choice.right for choice in choices} == {0, 1, 2, 3}
    for choice in choices:
        fact = large.fact(choice.cluster)
        answers = [ending.split()[-1].rstrip(".") for ending in choice.endings]
        assert answers[choice.right] == fact.answer and len(set(answers)) == 4 and fact.heard


def test_what_is_asked_stops_before_the_answer(large: World) -> None:
    for heard in (True, False):
        asked = texts.facts_asked(large, 20, 0, heard=heard)
        people = {(person.name, fact.answer) for fact in large.facts_where(heard=heard)
                  for person in [large.person(fact.person)]}  # fmt: skip
        for one in asked:
            assert one.answer not in one.prompt.split() and not one.prompt.endswith((" ", "."))
            assert any(name in one.prompt and answer == one.answer for name, answer in people)
    for one in texts.feelings_asked(large, 5):
        assert one.answer.isalpha() and one.answer not in one.prompt.split()
