"""A small generated world: stories that tie people to answers, half of which are only read, never heard.

Real corpora say nearly everything once. So there are many facts, each heard seldom: a person is a first and a last
name, both of which others have too, and has one of a few answers for each attribute. Every name and every answer is
heard; the tie between them is heard for two attributes of a person and only read for the other two.

Every story and question is a pure function of the world's seed and a number, so a corpus is two integers, and
workers need not talk to each other. Held-out stories are reserved by their first two sentences, so that no test
text can occur in training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.world.facts import Fact, Person, populate, tie
from smoltolk.data.world.lexicon import ATTRIBUTES, CLOSES, DAYS, OPENINGS, WEATHER

_NUM_FORMS = 3  # of every sentence
_TRIES = 200  # for a question that was not asked before


@dataclass(frozen=True)
class Story:
    """Five sentences about a person: an opening, a day, two facts, a close.

    Attributes:
        id: unique among all stories of its world.
        facts: ids of the two facts that it states, in the order of the sentences.
    """

    id: str
    sentences: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences, joined by spaces."""
        return " ".join(self.sentences)


@dataclass(frozen=True)
class Cloze:
    """A question with two continuations, one right.

    Attributes:
        id: unique among the questions of its world.
        kind: ``"story"`` (the right ending against another story's), ``"fact_heard"`` or ``"fact_read"`` (the
            fact's sentence against the same sentence with another answer; their last words are the answers).
        prompt: sentences that both continuations follow.
        right, wrong: one sentence each, of the same form.
        fact: id of the fact asked for, of a story question of the person; questions of one fact are not independent
            (a bootstrap cluster).
    """

    id: str
    kind: str
    prompt: tuple[str, ...]
    right: str
    wrong: str
    fact: str


@dataclass(frozen=True)
class _Draw:
    """The open choices of a story."""

    weather: str
    forms: tuple[int, ...]  # for each sentence, a number to choose its form by
    full: tuple[bool, ...]  # for each sentence, whether it says both names


class World:
    """People, what is so of them, and the stories and questions about them.

    Names and answers of all facts occur in heard stories. All answers of an attribute are equally frequent.

    Args:
        seed: chooses names, ties, and which of them are heard.
        num_people: multiple of 12; each has four facts, of which two are only read.

    Raises:
        InputError: a number of people that the lexicon cannot give.
    """

    def __init__(self, seed: int, num_people: int = 240):
        self.seed, self.num_people = seed, num_people
        self.people: tuple[Person, ...] = tuple(populate(num_people, seed))
        self.facts: tuple[Fact, ...] = tuple(tie(list(self.people), seed))
        self._by_id = {fact.id: fact for fact in self.facts}
        self._person = {person.id: person for person in self.people}

    def fact(self, fact_id: str) -> Fact:
        """The fact with this id."""
        return self._by_id[fact_id]

    def person(self, person_id: str) -> Person:
        """The person with this id."""
        return self._person[person_id]

    def facts_where(self, *, heard: bool, attribute: str | None = None) -> list[Fact]:
        """Heard or only-read facts, of one attribute or all."""
        return [f for f in self.facts if f.heard == heard and attribute in (None, f.attribute)]

    def times_heard(self, num_stories: int) -> float:
        """How often each heard fact is said in so many heard stories."""
        return num_stories / self.num_people

    def story(self, i: int, heard_only: bool) -> Story:
        """Training story ``i``: its text is the same in any process, whatever was drawn before.

        Args:
            i: any number from 0; every ``num_people`` heard stories, and every ``2 * num_people`` others, state each
                of their facts once.
            heard_only: about heard facts only, as all speech is; otherwise about all.
        """
        return self._story("train", i, heard_only)

    def test_story(self, i: int, heard_only: bool) -> Story:
        """Held-out story ``i``: no training story begins with its first two sentences."""
        return self._story("test", i, heard_only)

    def stories(self, count: int, heard_only: bool) -> Iterator[Story]:
        """Training stories 0 to ``count - 1``."""
        return (self.story(i, heard_only) for i in range(count))

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word that a story can hold, in lower case, without punctuation."""
        phrases = [*WEATHER, *WEATHER.values(), *(fact.answer for fact in self.facts)]
        phrases += [person.name for person in self.people]
        forms = (OPENINGS, DAYS, CLOSES, *(attribute.forms for attribute in ATTRIBUTES.values()))
        phrases += [re.sub(r"\{\w+\}", "", form) for group in forms for form in group]
        return frozenset(word for phrase in phrases for word in re.findall(r"[a-z]+", phrase.lower()))

    def story_clozes(self, n: int) -> list[Cloze]:
        """``n`` questions on held-out heard stories: which close belongs to the first four sentences?

        Stories come in pairs that differ in both names and in the feeling; each one's close is right once and wrong
        once, so whoever ignores the prompt is right on half (``n`` even). Each person is asked about equally often, to
        within one.

        Raises:
            InputError: more questions than there are.
        """
        return self._clozes("story", n, self._pairs_of_people())

    def fact_clozes(self, n: int, heard: bool) -> list[Cloze]:
        """``n`` questions: an opening and a day that name the person; which answer does a fact of theirs have?

        Facts come in pairs of one attribute; each one's answer is right once and wrong once in the same form, so a
        liking for a word gives half (``n`` even). Each fact is asked for equally often, to within one.

        Raises:
            InputError: more questions than there are.
        """
        kind = "fact_heard" if heard else "fact_read"
        return self._clozes(kind, n, self._pairs_of_facts(kind, heard))

    # How it is drawn

    def _story(self, split: str, i: int, heard_only: bool) -> Story:
        order = "heard" if heard_only else "all"
        # Each block of stories states each fact once, so no fact or answer is more frequent than another.
        parts = 1 if heard_only else 2
        block, place = divmod(i, parts * self.num_people)
        rank = int(generator(self.seed, "order", split, order, block).permutation(parts * self.num_people)[place])
        person, part = self.people[rank // parts], rank % parts
        told = [f"{attribute}-{person.id}" for attribute in ATTRIBUTES]
        told = [fact for fact in told if self._by_id[fact].heard or not heard_only]
        told = [told[k] for k in generator(self.seed, "told", split, order, block, person.id).permutation(len(told))]
        facts = [self._by_id[fact] for fact in told[2 * part : 2 * part + 2]]
        draw = self._draw(person, generator(self.seed, "story", split, order, i), reserved=split == "test")
        sentences = self._tell(person, facts, draw)
        return Story(f"{split}-{order}-{i:07d}", sentences, tuple(fact.id for fact in facts))

    def _draw(self, person: Person, random: np.random.Generator, *, reserved: bool) -> _Draw:
        mine = self._reserved[person.id]
        while True:
            weather = _pick(tuple(WEATHER), random)
            forms = tuple(int(number) for number in random.integers(_NUM_FORMS, size=5))
            # Test and training stories part here: what the first two sentences say is said in one of them only.
            if (weather == mine[forms[0]][forms[1]]) == reserved:
                break
        return _Draw(weather, forms, tuple(bool(number) for number in random.integers(2, size=5)))

    @cached_property
    def _reserved(self) -> dict[str, list[list[str]]]:
        """For each person, form of the opening and form of the day: the weather that only held-out stories tell."""
        reserved = {}
        for person in self.people:
            order = generator(self.seed, "reserved", person.id).permutation(len(WEATHER))
            weather = [tuple(WEATHER)[order[k % len(WEATHER)]] for k in range(_NUM_FORMS**2)]
            reserved[person.id] = [weather[k : k + _NUM_FORMS] for k in range(0, len(weather), _NUM_FORMS)]
        return reserved

    def _clozes(self, kind: str, n: int, pairs: Iterator[tuple[Person, Person, list[Fact], list[Fact]]]) -> list[Cloze]:
        clozes: list[Cloze] = []
        seen: set[tuple[str, ...]] = set()
        for number, pair in enumerate(pairs):
            if len(clozes) >= n:
                break
            random = generator(self.seed, "cloze", kind, number)
            for _ in range(_TRIES):
                asked = self._ask(kind, *pair, random)
                told = {(" ".join(cloze.prompt), cloze.right, cloze.wrong) for cloze in asked}
                if not told & seen:
                    break
            else:
                raise InputError(
                    "a question is asked once, and few people are asked about in few ways",
                    f"{n} questions, num_people = {self.num_people}",
                    f"ask {len(clozes)} of this kind at most, or make more people",
                )
            seen |= told
            clozes += asked
        return [
            Cloze(f"{c.kind}-{i:05d}", c.kind, c.prompt, c.right, c.wrong, c.fact) for i, c in enumerate(clozes[:n])
        ]

    def _pairs_of_people(self) -> Iterator[tuple[Person, Person, list[Fact], list[Fact]]]:
        """Endless pairs of people who share no name, with what is heard of them; each person once in every round."""
        heard: dict[str, list[Fact]] = {person.id: [] for person in self.people}
        for fact in self.facts_where(heard=True):
            heard[fact.person].append(fact)
        number = 0
        while True:
            random = generator(self.seed, "pairs", "story", number)
            for one, other in _strangers([self.people[k] for k in random.permutation(len(self.people))]):
                ones, others = ([heard[p.id][k] for k in random.permutation(2)] for p in (one, other))
                yield one, other, ones, others
            number += 1

    def _pairs_of_facts(self, kind: str, heard: bool) -> Iterator[tuple[Person, Person, list[Fact], list[Fact]]]:
        """Endless pairs of facts of one attribute with different answers; each fact once in every round."""
        groups = [self.facts_where(heard=heard, attribute=name) for name in ATTRIBUTES]
        round_number = 0
        while True:
            random = generator(self.seed, "pairs", kind, round_number)
            for group in groups:
                answers = sorted({fact.answer for fact in group})
                rank = dict(zip(answers, random.permutation(len(answers)), strict=True))
                shuffled = [group[k] for k in random.permutation(len(group))]
                shuffled.sort(key=lambda fact: rank[fact.answer])
                # Equal runs of each answer, at most half of the list long: half a list on is another answer.
                half = len(shuffled) // 2
                for one, other in zip(shuffled[:half], shuffled[half:], strict=True):
                    yield self._person[one.person], self._person[other.person], [one], [other]
            round_number += 1

    def _ask(
        self, kind: str, one: Person, other: Person, ones: list[Fact], others: list[Fact], random: np.random.Generator
    ) -> list[Cloze]:
        """Two questions that mirror each other: each one's right option is the other one's wrong one."""
        first = self._draw(one, random, reserved=True)
        while True:
            second = self._draw(other, random, reserved=True)
            if second.weather != first.weather:
                break
        # What is asked is asked in the same words.
        second = _Draw(second.weather, (*second.forms[:2], *first.forms[2:]), first.full)
        clozes = []
        for person, facts, draw, rival, rivals, rival_draw in (
            (one, ones, first, other, others, second),
            (other, others, second, one, ones, first),
        ):
            sentences = self._tell(person, facts, draw)
            if kind == "story":
                wrong = self._tell(rival, rivals, rival_draw)[4]
                clozes.append(Cloze("", kind, sentences[:4], sentences[4], wrong, person.id))
            else:
                lie = Fact(facts[0].id, person.id, facts[0].attribute, rivals[0].answer, facts[0].heard)
                wrong = self._tell(person, [lie], draw)[2]
                clozes.append(Cloze("", kind, sentences[:2], sentences[2], wrong, facts[0].id))
        return clozes

    def _tell(self, person: Person, facts: Sequence[Fact], draw: _Draw) -> tuple[str, ...]:
        slots = (OPENINGS, DAYS, *(ATTRIBUTES[fact.attribute].forms for fact in facts), CLOSES)
        # A close is the fifth sentence, however many facts come before it.
        places = (0, 1, *range(2, 2 + len(facts)), 4)
        answers = ("", "", *(fact.answer for fact in facts), "")
        return tuple(
            forms[draw.forms[place]].format(
                name=person.name,
                who=person.name if draw.full[place] else person.first,
                weather=draw.weather,
                feeling=WEATHER[draw.weather],
                answer=answer,
            )
            for forms, place, answer in zip(slots, places, answers, strict=True)
        )


def _strangers(people: list[Person]) -> list[tuple[Person, Person]]:
    """Pairs of people who share no name; none if someone is left alone."""
    pairs = []
    while people:
        one = people.pop()
        other = next((p for p in people if p.first != one.first and p.last != one.last), None)
        if other is None:
            return []
        people.remove(other)
        pairs.append((one, other))
    return pairs


def _pick(words: Sequence[str], random: np.random.Generator) -> str:
    return words[int(random.integers(len(words)))]
