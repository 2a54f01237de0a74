import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import derive
from smoltolk.data.world.lexicon import KINDS, NAMES, TOWNS, WEATHER
from smoltolk.data.world.stories import Story, World

WORLD = World(seed=0, num_facts=48)
MANY = 3000


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def ties(world: World, story: Story) -> set[str]:
    """Facts whose subject and answer are in one story and whose kind is the story's."""
    told = words(story.text)
    kind = world.fact(story.fact).kind
    return {f.id for f in world.facts if f.kind == kind and words(f.subject) <= told and words(f.answer) <= told}


@pytest.fixture(scope="module")
def heard() -> list[Story]:
    return list(WORLD.stories(MANY, heard_only=True))


@pytest.fixture(scope="module")
def read() -> list[Story]:
    return list(WORLD.stories(MANY, heard_only=False))


@given(st.integers(0, 2**63), st.integers(0, 10**9), st.booleans(), st.sampled_from([12, 48, 216]))
@settings(max_examples=40, deadline=None)
def test_a_story_is_a_function_of_seed_and_number(seed: int, i: int, heard_only: bool, num_facts: int) -> None:
    first, second = World(seed, num_facts), World(seed, num_facts)
    first.story(i + 1, heard_only)
    assert first.story(i, heard_only) == second.story(i, heard_only)
    assert first.test_story(i, heard_only) == second.test_story(i, heard_only)
    assert first.test_story(i, heard_only).text != first.story(i, heard_only).text


def test_another_process_tells_the_same() -> None:
    code = (
        "from smoltolk.data.world.stories import World; w = World(5); print(w.story(7, True).text, w.story_clozes(2))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    world = World(5)
    assert told.strip() == f"{world.story(7, True).text} {world.story_clozes(2)}"


def test_another_seed_is_another_world() -> None:
    other = World(seed=1)
    assert {(f.subject, f.answer) for f in other.facts} != {(f.subject, f.answer) for f in WORLD.facts}


@pytest.mark.parametrize("num_facts", [12, 24, 36, 48, 60, 216, 432])
def test_every_answer_is_tied_to_heard_and_only_read_subjects_equally(num_facts: int) -> None:
    for seed in range(3):
        facts = World(seed, num_facts).facts
        assert len({f.id for f in facts}) == len({f.subject for f in facts}) == num_facts
        for kind in KINDS:
            counts = Counter((f.answer, f.heard) for f in facts if f.kind == kind)
            answers = {answer for answer, _ in counts}
            assert len(answers) >= 2
            assert len(set(counts.values())) == 1, "one answer is more frequent than another"
            assert len(counts) == 2 * len(answers)


@pytest.mark.parametrize("num_facts", [0, 11, 13, 444])
def test_a_number_of_facts_that_cannot_be_split_is_refused(num_facts: int) -> None:
    with pytest.raises(InputError, match=f"num_facts = {num_facts}"):
        World(0, num_facts)


def test_heard_stories_tell_heard_facts_only(heard: list[Story]) -> None:
    for story in heard:
        assert WORLD.fact(story.fact).heard
        assert ties(WORLD, story) == {story.fact}


def test_only_read_subjects_and_all_answers_are_heard_elsewhere(heard: list[Story]) -> None:
    told = set().union(*(words(story.text) for story in heard))
    for fact in WORLD.facts:
        assert words(fact.subject) | words(fact.answer) <= told


def test_no_heard_story_puts_an_only_read_subject_beside_an_answer_of_its_kind(heard: list[Story]) -> None:
    for fact in WORLD.facts_where(heard=False):
        for story in heard:
            if words(fact.subject) <= words(story.text):
                assert not words(story.text) & set(KINDS[fact.kind].answers)


@pytest.mark.parametrize("num_facts", [12, 216])
def test_other_sizes_keep_the_ties_apart(num_facts: int) -> None:
    world = World(3, num_facts)
    for story in world.stories(500, heard_only=True):
        fact = world.fact(story.fact)
        assert fact.heard
        sentence = [s for s in story.sentences if f"The {fact.subject} " in s and s.endswith(f" {fact.answer}.")]
        assert sentence, story.text


def test_text_tells_every_fact_equally_often(heard: list[Story], read: list[Story]) -> None:
    for stories, facts in ((read, WORLD.facts), (heard, WORLD.facts_where(heard=True))):
        counts = Counter(story.fact for story in stories)
        assert set(counts) == {fact.id for fact in facts}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_stories_have_the_shape_that_they_promise(heard: list[Story], read: list[Story]) -> None:
    lengths = [len(story.text.split()) for story in heard + read]
    assert 28 <= min(lengths) <= max(lengths) <= 34
    for story in heard + read:
        assert len(story.sentences) == 5
        assert all(re.fullmatch(r"[A-Z][A-Za-z ,]*\.", sentence) for sentence in story.sentences)
    assert len({story.text for story in read}) > 0.99 * len(read)
    assert len({story.id for story in heard + read}) == 2 * MANY


def test_a_close_follows_from_its_story(heard: list[Story]) -> None:
    for story in heard:
        before, close = words(" ".join(story.sentences[:4])), words(story.sentences[4])
        (weather,) = before & set(WEATHER)
        assert close & set(WEATHER.values()) == {WEATHER[weather]}
        (name,) = close & {name.lower() for name in NAMES}
        assert name in before
        assert words(WORLD.fact(story.fact).subject) <= close


def test_no_test_story_begins_like_a_training_story(heard: list[Story], read: list[Story]) -> None:
    trained = {story.sentences[0] for story in heard + read}
    reserved = set()
    for i in range(MANY):
        for heard_only in (True, False):
            story = WORLD.test_story(i, heard_only)
            assert story.sentences[0] not in trained
            assert WORLD.fact(story.fact).heard or not heard_only
            reserved.add(story.sentences[0])
    clozes = WORLD.story_clozes(500) + WORLD.fact_clozes(500, True) + WORLD.fact_clozes(500, False)
    assert not {cloze.prompt[0] for cloze in clozes} & trained
    # The reserve is about an eighth of what there is: person x town x subject x form of the opening.
    combinations_of_openings = len(NAMES) * len(TOWNS) * 48 * 3
    assert 0.05 < len(reserved) / combinations_of_openings < 0.125


def test_vocabulary_is_what_stories_use(heard: list[Story], read: list[Story]) -> None:
    assert set().union(*(words(story.text) for story in heard + read)) == WORLD.vocabulary
    assert 150 <= len(WORLD.vocabulary) <= 400


@pytest.mark.parametrize(("kind", "heard_facts"), [("story", True), ("fact_heard", True), ("fact_read", False)])
@pytest.mark.parametrize("n", [0, 7, 48, 500])
def test_clozes_are_balanced(kind: str, heard_facts: bool, n: int) -> None:
    clozes = WORLD.story_clozes(n) if kind == "story" else WORLD.fact_clozes(n, heard_facts)
    assert len(clozes) == n == len({c.id for c in clozes})
    assert len({(c.prompt, c.right, c.wrong) for c in clozes}) == n
    assert all(c.kind == kind and c.right != c.wrong for c in clozes)
    assert all(WORLD.fact(c.fact).heard == heard_facts for c in clozes)
    counts = Counter(c.fact for c in clozes)
    if n >= 24:
        assert set(counts) == {f.id for f in WORLD.facts_where(heard=heard_facts)}
        assert max(counts.values()) - min(counts.values()) <= 1
    if n % 2 == 0:
        asked = [c.right.split()[-1] for c in clozes], [c.wrong.split()[-1] for c in clozes]
        assert Counter(asked[0]) == Counter(asked[1])


def test_a_longer_list_of_questions_begins_like_a_shorter_one() -> None:
    assert WORLD.story_clozes(40)[:10] == WORLD.story_clozes(10)
    assert WORLD.fact_clozes(40, False)[:10] == WORLD.fact_clozes(10, False)


@given(st.integers())
@settings(max_examples=20, deadline=None)
def test_who_ignores_the_prompt_gets_half(taste: int) -> None:
    def score(text: str) -> int:
        return derive(taste, text)

    stories = WORLD.story_clozes(120)
    assert sum(score(c.right) > score(c.wrong) for c in stories) == 60
    facts = WORLD.fact_clozes(120, False)
    assert sum(score(c.right.split()[-1]) > score(c.wrong.split()[-1]) for c in facts) == 60


def test_fact_questions_ask_for_the_fact() -> None:
    for heard_facts in (True, False):
        for cloze in WORLD.fact_clozes(200, heard_facts):
            fact = WORLD.fact(cloze.fact)
            assert cloze.right.endswith(f" {fact.answer}.") and fact.subject in cloze.right
            assert cloze.right.rsplit(" ", 1)[0] == cloze.wrong.rsplit(" ", 1)[0], "more than the answer differs"
            prompt = words(" ".join(cloze.prompt))
            assert words(fact.subject) <= prompt and not prompt & set(KINDS[fact.kind].answers)


def test_story_questions_differ_in_every_clue() -> None:
    names = {name.lower() for name in NAMES}
    for cloze in WORLD.story_clozes(200):
        right, wrong = words(cloze.right), words(cloze.wrong)
        for clue in (names, set(WEATHER.values()), {f.subject for f in WORLD.facts}):
            assert len(right & clue) == len(wrong & clue) == 1 and not right & wrong & clue
        assert len(cloze.prompt) == 4 and right & names <= words(" ".join(cloze.prompt))


def test_questions_of_one_fact_differ() -> None:
    by_fact: dict[str, list] = {}
    for cloze in WORLD.fact_clozes(504, False):
        by_fact.setdefault(cloze.fact, []).append(cloze)
    for clozes in by_fact.values():
        assert len(clozes) == 21
        assert len({c.wrong.split()[-1] for c in clozes}) == 3
        assert len({c.prompt for c in clozes}) >= 18
