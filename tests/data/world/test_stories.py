import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import derive
from smoltolk.data.world.lexicon import ATTRIBUTES, CLOSES, DAYS, OPENINGS, WEATHER
from smoltolk.data.world.stories import Cloze, Story, World

WORLD = World(seed=0, num_people=48)
MANY = 3000
SIZES = [12, 24, 36, 48, 60, 96, 240, 576, 960]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def facts_of(world: World, heard: bool) -> set[tuple[str, str, str]]:
    return {(world.person(f.person).name, f.attribute, f.answer) for f in world.facts_where(heard=heard)}


@pytest.fixture(scope="module")
def heard() -> list[Story]:
    return list(WORLD.stories(MANY, heard_only=True))


@pytest.fixture(scope="module")
def read() -> list[Story]:
    return list(WORLD.stories(MANY, heard_only=False))


@given(st.integers(0, 2**63), st.integers(0, 10**9), st.booleans(), st.sampled_from([12, 48, 240]))
@settings(max_examples=40, deadline=None)
def test_a_story_is_a_function_of_seed_and_number(seed: int, i: int, heard_only: bool, num_people: int) -> None:
    first, second = World(seed, num_people), World(seed, num_people)
    first.story(i + 1, heard_only)
    assert first.story(i, heard_only) == second.story(i, heard_only)
    assert first.test_story(i, heard_only) == second.test_story(i, heard_only)
    assert first.test_story(i, heard_only).sentences[:2] != first.story(i, heard_only).sentences[:2]


def test_another_process_tells_the_same() -> None:
    code = (
        "from smoltolk.data.world.stories import World; w = World(5); print(w.story(7, True).text, w.story_clozes(2))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    world = World(5)
    assert told.strip() == f"{world.story(7, True).text} {world.story_clozes(2)}"


def test_another_seed_is_another_world() -> None:
    worlds = [World(seed, 48) for seed in range(2)]
    for heard_facts in (True, False):
        one, other = (facts_of(world, heard_facts) for world in worlds)
        assert len(one & other) < 0.1 * len(one)


@pytest.mark.parametrize("num_people", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_names_are_shared_but_no_two_people_have_the_same(num_people: int, seed: int) -> None:
    people = World(seed, num_people).people
    assert len(people) == len({p.id for p in people}) == len({p.name for p in people}) == num_people
    for names in ([p.first for p in people], [p.last for p in people]):
        counts = Counter(names).values()
        assert min(counts) >= 2 and max(counts) - min(counts) <= 1


@pytest.mark.parametrize("num_people", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_every_answer_is_heard_and_only_read_equally_often(num_people: int, seed: int) -> None:
    facts = World(seed, num_people).facts
    assert len(facts) == len({f.id for f in facts}) == 4 * num_people
    for name in ATTRIBUTES:
        counts = Counter((f.answer, f.heard) for f in facts if f.attribute == name)
        answers = {answer for answer, _ in counts}
        assert len(answers) >= 2 and answers <= set(ATTRIBUTES[name].answers)
        assert len(counts) == 2 * len(answers)
        assert len(set(counts.values())) == 1, "one answer is more frequent than another"
        assert min(counts.values()) >= 2, "an answer that is heard means one person"


@pytest.mark.parametrize("num_people", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_two_attributes_of_each_person_are_heard_every_choice_equally_often(num_people: int, seed: int) -> None:
    world = World(seed, num_people)
    choices = Counter(
        tuple(sorted(f.attribute for f in facts if f.heard)) for facts in _by_person(world).values() if len(facts) == 4
    )
    assert len(choices) == 6 and set(choices.values()) == {num_people // 6}
    assert all(len(choice) == 2 for choice in choices)


def _by_person(world: World) -> dict[str, list]:
    found = defaultdict(list)
    for fact in world.facts:
        found[fact.person].append(fact)
    return found


def test_a_person_has_each_attribute_once() -> None:
    for person, facts in _by_person(WORLD).items():
        assert [f.attribute for f in facts] == sorted(ATTRIBUTES)
        assert [f.id for f in facts] == [f"{f.attribute}-{person}" for f in facts]


@pytest.mark.parametrize("num_people", [-12, 0, 6, 11, 13, 961, 972, 1200])
def test_a_number_of_people_that_cannot_be_split_is_refused(num_people: int) -> None:
    with pytest.raises(InputError, match=rf"num_people = {num_people}\b"):
        World(0, num_people)


def test_stories_state_the_two_facts_that_they_name(heard: list[Story], read: list[Story], said: Callable) -> None:
    for story in heard + read:
        facts = [WORLD.fact(fact) for fact in story.facts]
        assert len(facts) == 2 and len({f.person for f in facts}) == 1
        assert said(story.sentences) == [(WORLD.person(f.person).name, f.attribute, f.answer) for f in facts]


@pytest.mark.parametrize("num_people", [12, 48, 240, 960])
def test_heard_stories_state_heard_ties_only(num_people: int, said: Callable) -> None:
    world = World(3, num_people)
    told = {tie for story in world.stories(num_people, heard_only=True) for tie in said(story.sentences)}
    assert told == facts_of(world, heard=True)
    told = {world.test_story(i, heard_only=True).facts for i in range(num_people)}
    assert all(world.fact(fact).heard for facts in told for fact in facts)


def test_every_name_and_every_answer_is_heard(heard: list[Story]) -> None:
    told = set().union(*(words(story.text) for story in heard))
    assert all(words(fact.answer) <= told for fact in WORLD.facts)
    assert {person.name for person in WORLD.people} == {" ".join(_names(story)) for story in heard}


def test_each_fact_is_told_equally_often(heard: list[Story], read: list[Story]) -> None:
    for stories, facts in ((read, WORLD.facts), (heard, WORLD.facts_where(heard=True))):
        counts = Counter(fact for story in stories for fact in story.facts)
        assert set(counts) == {fact.id for fact in facts}
        assert max(counts.values()) - min(counts.values()) <= 1
        if stories is heard:
            assert max(abs(count - WORLD.times_heard(MANY)) for count in counts.values()) < 1


def test_a_block_of_stories_tells_each_fact_once() -> None:
    for heard_only, size in ((True, 48), (False, 96)):
        for tell in (WORLD.story, WORLD.test_story):
            for block in range(3):
                stories = [tell(i, heard_only) for i in range(block * size, (block + 1) * size)]
                told = [fact for story in stories for fact in story.facts]
                assert sorted(told) == [f.id for f in WORLD.facts if f.heard or not heard_only]


def test_facts_come_in_any_order_and_any_company(heard: list[Story], read: list[Story]) -> None:
    attributes = Counter(tuple(WORLD.fact(fact).attribute for fact in story.facts) for story in heard)
    assert len(attributes) == 12 and min(attributes.values()) > 0.8 * MANY / 12
    attributes = Counter(tuple(WORLD.fact(fact).attribute for fact in story.facts) for story in read)
    assert len(attributes) == 12 and min(attributes.values()) > 0.8 * MANY / 12


def test_stories_have_the_shape_that_they_promise(heard: list[Story], read: list[Story]) -> None:
    lengths = [len(story.text.split()) for story in heard + read]
    assert 16 <= min(lengths) <= max(lengths) <= 32
    for story in heard + read:
        assert len(story.sentences) == 5
        assert all(re.fullmatch(r"[A-Z][A-Za-z ]*\.", sentence) for sentence in story.sentences)
    assert len({story.text for story in read}) > 0.95 * len(read)
    assert len({story.id for story in heard + read}) == 2 * MANY


def test_every_form_is_used(heard: list[Story]) -> None:
    forms = [*OPENINGS, *DAYS, *CLOSES, *(form for a in ATTRIBUTES.values() for form in a.forms)]
    sentences = [sentence for story in heard for sentence in story.sentences]
    for form in forms:
        pattern = re.compile(re.sub(r"\{\w+\}", "[A-Za-z ]+", form))
        share = 2 * MANY / 12 if "{answer}" in form else MANY / 3
        assert sum(1 for sentence in sentences if pattern.fullmatch(sentence)) > 0.8 * share, form


def test_a_close_follows_from_its_story(heard: list[Story]) -> None:
    for story in heard:
        before, close = words(" ".join(story.sentences[:4])), words(story.sentences[4])
        (weather,) = before & set(WEATHER)
        assert close & set(WEATHER.values()) == {WEATHER[weather]}
        first, _ = _names(story)
        assert first.lower() in close


def _names(story: Story) -> list[str]:
    """Both names, of an opening."""
    return story.sentences[0].rstrip(".").split()[-2:]


@pytest.mark.parametrize("num_people", [12, 48])
def test_no_test_story_begins_like_a_training_story(num_people: int) -> None:
    world = World(1, num_people)
    trained, reserved = set(), set()
    for heard_only in (True, False):
        trained |= {story.sentences[:2] for story in world.stories(MANY, heard_only)}
        reserved |= {world.test_story(i, heard_only).sentences[:2] for i in range(MANY)}
    for clozes in (world.story_clozes(500), world.fact_clozes(500, True), world.fact_clozes(500, False)):
        reserved |= {cloze.prompt[:2] for cloze in clozes}
    assert not reserved & trained
    # An eighth of what there is: person x form of the opening x form of the day x weather.
    assert len(reserved) == num_people * 3 * 3
    assert len(trained) > 0.8 * num_people * 3 * 3 * (len(WEATHER) - 1)


def test_vocabulary_is_what_stories_use(heard: list[Story], read: list[Story]) -> None:
    assert set().union(*(words(story.text) for story in heard + read)) == WORLD.vocabulary
    assert 90 <= len(WORLD.vocabulary) <= 150


# Questions


def ask(kind: str, n: int, world: World = WORLD) -> list[Cloze]:
    return world.story_clozes(n) if kind == "story" else world.fact_clozes(n, kind == "fact_heard")


@pytest.mark.parametrize("kind", ["story", "fact_heard", "fact_read"])
@pytest.mark.parametrize("n", [0, 7, 96, 500])
@pytest.mark.parametrize("num_people", [12, 48])
def test_clozes_are_balanced(kind: str, n: int, num_people: int) -> None:
    world = World(0, num_people)
    clozes = ask(kind, n, world)
    assert len(clozes) == n == len({c.id for c in clozes})
    assert len({(c.prompt, c.right, c.wrong) for c in clozes}) == n
    assert all(c.kind == kind and c.right != c.wrong for c in clozes)
    counts = Counter(c.fact for c in clozes)
    if kind == "story":
        everything = {p.id for p in world.people}
    else:
        everything = {f.id for f in world.facts_where(heard=kind == "fact_heard")}
    assert set(counts) <= everything
    if n >= len(everything):
        assert set(counts) == everything
        assert max(counts.values()) - min(counts.values()) <= 1
    if n % 2 == 0:
        right, wrong = (Counter(c.right.split()[-1] for c in clozes), Counter(c.wrong.split()[-1] for c in clozes))
        assert right == wrong


def test_a_longer_list_of_questions_begins_like_a_shorter_one() -> None:
    for kind in ("story", "fact_heard", "fact_read"):
        assert ask(kind, 40)[:10] == ask(kind, 10)


@given(st.integers())
@settings(max_examples=20, deadline=None)
def test_who_ignores_the_prompt_gets_half(taste: int) -> None:
    for kind in ("story", "fact_heard", "fact_read"):
        clozes = ask(kind, 96)
        # A taste for sentences; of facts, one for answers in whatever sentence.
        for score in (
            [lambda text: derive(taste, text)]
            if kind == "story"
            else [lambda text: derive(taste, text.split()[-1]), lambda text: derive(taste, *text.split()[-2:])]
        ):
            assert sum(score(c.right) > score(c.wrong) for c in clozes) == 48


@pytest.mark.parametrize("kind", ["story", "fact_heard", "fact_read"])
def test_neighbours_are_mirrored(kind: str) -> None:
    clozes = ask(kind, 200)
    for one, other in zip(clozes[::2], clozes[1::2], strict=True):
        assert one.fact != other.fact
        if kind == "story":
            assert (one.right, one.wrong) == (other.wrong, other.right)
            continue
        facts = [WORLD.fact(cloze.fact) for cloze in (one, other)]
        assert facts[0].attribute == facts[1].attribute and facts[0].person != facts[1].person
        forms = set()
        for cloze, fact, rival in ((one, *facts), (other, *reversed(facts))):
            for option, answer in ((cloze.right, fact.answer), (cloze.wrong, rival.answer)):
                assert option.endswith(f" {answer}.")
                person = WORLD.person(fact.person)
                who = person.name if option.startswith(person.name) else person.first
                forms.add(("full" if who == person.name else "first", option[len(who) : -len(f"{answer}.")]))
        assert len(forms) == 1, "they are not asked in the same words"


def test_fact_questions_ask_for_the_fact(said: Callable) -> None:
    for heard_facts in (True, False):
        for cloze in WORLD.fact_clozes(200, heard_facts):
            fact = WORLD.fact(cloze.fact)
            assert fact.heard == heard_facts
            name = WORLD.person(fact.person).name
            assert said((*cloze.prompt, cloze.right)) == [(name, fact.attribute, fact.answer)]
            ((also, attribute, answer),) = said((*cloze.prompt, cloze.wrong))
            assert (also, attribute) == (name, fact.attribute) and answer != fact.answer
            assert cloze.right.rsplit(" ", 1)[0] == cloze.wrong.rsplit(" ", 1)[0], "more than the answer differs"
            assert len(cloze.prompt) == 2


def test_wrong_answers_are_right_ones_of_other_people_equally_often() -> None:
    """Else an answer could be chosen by what it is beside."""
    num_answers = len({f.answer for f in WORLD.facts_where(heard=False, attribute="food")})
    beside = Counter((c.right.split()[-1], c.wrong.split()[-1]) for c in WORLD.fact_clozes(4800, False))
    assert len(beside) == 4 * num_answers * (num_answers - 1)
    assert all(beside[one, other] == beside[other, one] for one, other in beside)


def test_story_questions_are_held_out_heard_stories(said: Callable) -> None:
    orders = set()
    for cloze in WORLD.story_clozes(200):
        person = WORLD.person(cloze.fact)
        ties = said((*cloze.prompt, cloze.right))
        assert len(cloze.prompt) == 4 and len(ties) == 2
        assert set(ties) <= facts_of(WORLD, heard=True)
        assert {name for name, _, _ in ties} == {person.name}
        attributes = [attribute for _, attribute, _ in ties]
        orders.add(attributes == sorted(attributes))
    assert orders == {True, False}, "the facts are told in one order only"


def test_story_questions_differ_in_every_clue() -> None:
    firsts, lasts = ({p.first for p in WORLD.people}, {p.last for p in WORLD.people})
    by_name = {(p.first, p.last): p for p in WORLD.people}
    clozes = WORLD.story_clozes(200)
    for cloze, mirrored in zip(clozes, [c for k in range(0, 200, 2) for c in (clozes[k + 1], clozes[k])], strict=True):
        right, wrong = words(cloze.right), words(cloze.wrong)
        assert len(right & set(WEATHER.values())) == len(wrong & set(WEATHER.values())) == 1
        assert right & set(WEATHER.values()) != wrong & set(WEATHER.values())
        person, rival = WORLD.person(cloze.fact), WORLD.person(mirrored.fact)
        assert person.first != rival.first and person.last != rival.last
        assert cloze.right.replace(person.last, "").split() != cloze.wrong.replace(rival.last, "").split()
        assert person.first in cloze.right and rival.first in cloze.wrong
        assert (person.last in cloze.right) == (rival.last in cloze.wrong), "one names more than the other"
        assert len(firsts & set(cloze.right.split())) == 1 and len(lasts & set(cloze.right.split())) <= 1
        assert by_name[person.first, person.last] == person


def test_questions_of_one_fact_differ() -> None:
    by_fact: dict[str, list[Cloze]] = defaultdict(list)
    for cloze in WORLD.fact_clozes(21 * 96, False):
        by_fact[cloze.fact].append(cloze)
    num_answers = len({f.answer for f in WORLD.facts if f.attribute == "food"})
    assert len(by_fact) == 96
    for clozes in by_fact.values():
        assert len(clozes) == 21
        assert len({c.wrong.split()[-1] for c in clozes}) >= num_answers - 3
        assert len({c.prompt for c in clozes}) >= 6  # of nine
        assert len({(c.prompt, c.right) for c in clozes}) >= 14
        assert len({c.right for c in clozes}) >= 4  # of six


def test_more_questions_than_there_are_is_refused() -> None:
    """A fact of 12 people has 9 prompts, 3 forms, 2 names and 2 wrong answers: 108 questions."""
    world = World(0, 12)
    with pytest.raises(InputError, match=r"num_people = 12\n(.|\n)*ask \d+ of this kind") as refused:
        world.fact_clozes(24 * 108 + 2, False)
    (most,) = re.findall(r"ask (\d+)", str(refused.value))
    assert 24 * 54 < int(most) <= 24 * 108
