"""Who lives in the generated world, and what is so of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.world.lexicon import ATTRIBUTES, FIRST_NAMES, LAST_NAMES

# Two of a person's four attributes are heard; each of the six choices is made equally often, each half of the people
# that an attribute is heard of, or not, has two answers or more.
_STEP = 12
_LARGEST = 960
# So many names are made for each person that has them: names are shared by many, no pair of them is.
_NAMES_A_PERSON = 2.4


@dataclass(frozen=True)
class Person:
    """Someone with a name that is known only as a whole: others have its first half, others its second.

    Attributes:
        id: unique in its world.
    """

    id: str
    first: str
    last: str

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.first} {self.last}"


@dataclass(frozen=True)
class Fact:
    """One attribute of a person, e.g. her food.

    Attributes:
        id: unique in its world.
        person: id of the person.
        attribute: key of :data:`smoltolk.data.world.lexicon.ATTRIBUTES`.
        answer: what it is.
        heard: whether speech may state it; otherwise only text does.
    """

    id: str
    person: str
    attribute: str
    answer: str
    heard: bool


def populate(count: int, seed: int) -> list[Person]:
    """``count`` people; every name is shared by as many of them as every other, to within one.

    Args:
        count: multiple of 12.
        seed: of the names.

    Raises:
        InputError: a count that cannot be split, or that the names cannot give.
    """
    if not _STEP <= count <= _LARGEST or count % _STEP:
        raise InputError(
            f"a world has a multiple of {_STEP} people, from {_STEP} to {_LARGEST}",
            f"num_people = {count}",
            "choose e.g. 12, 48 or 240",
        )
    random = generator(seed, "names")
    size = min(len(FIRST_NAMES), math.ceil(math.sqrt(_NAMES_A_PERSON * count)))
    first = [FIRST_NAMES[k] for k in random.permutation(len(FIRST_NAMES))[:size]]
    last = [LAST_NAMES[k] for k in random.permutation(len(LAST_NAMES))[:size]]
    # A round gives each name once; each has another turn between first and last ones, so that no pair comes twice.
    turns = random.permutation(size)
    names = [(first[k], last[(k + turns[turn]) % size]) for turn in range(-(-count // size)) for k in range(size)]
    return [Person(f"{number:04d}", *names[number]) for number in range(count)]


def tie(people: list[Person], seed: int) -> list[Fact]:
    """Every attribute of every person.

    Of each person two are heard and two only read; every answer is as frequent as any other of its attribute, both
    among people of whom it is heard and among those of whom it is only read, and the ties of one half say nothing about
    those of the other.

    Args:
        people: as :func:`populate` gives them.
        seed: of the ties.
    """
    choices = list(combinations(ATTRIBUTES, 2))
    order = generator(seed, "heard").permutation(len(people))
    heard = {people[k].id: choices[rank % len(choices)] for rank, k in enumerate(order)}
    half = len(people) // 2
    facts = []
    for attribute in ATTRIBUTES.values():
        most = len(attribute.answers)
        # Two people or more for each answer, if there are enough: hearing it must not mean one person.
        num_answers = max(k for k in range(2, most + 1) if half % k == 0 and (half // k >= 2 or k == 2))
        random = generator(seed, "answers", attribute.name)
        answers = [attribute.answers[k] for k in random.permutation(most)[:num_answers]]
        for is_heard in (True, False):
            tied = [person for person in people if (attribute.name in heard[person.id]) == is_heard]
            for number, k in enumerate(random.permutation(len(tied))):
                person, answer = tied[k], answers[number % num_answers]
                facts.append(Fact(f"{attribute.name}-{person.id}", person.id, attribute.name, answer, is_heard))
    return sorted(facts, key=lambda fact: fact.id)
