"""A small generated world: stories that tie subjects to answers, some of which are only read, never heard.

Every story and question is a pure function of the world's seed and a number, so a corpus is two integers, and
workers need not talk to each other. Held-out stories are reserved by what they are about (person, town and
subject together, all named in the first sentence), so no test text can occur in training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import derive, generator
from smoltolk.data.world.facts import Fact, tie
from smoltolk.data.world.lexicon import KINDS, NAMES, TOWNS, WEATHER

_RESERVED_OF = 8  # one in eight combinations of person, town and subject is for tests
# Three kinds; in each, half of the facts are heard and half only read; each half needs two facts.
_FACTS_STEP = 12


@dataclass(frozen=True)
class Story:
    """Five sentences: an opening, a need, a fact, its consequence, a close.

    Attributes:
        id: unique among all stories of its world.
        fact: id of the one fact that it states.
    """

    id: str
    sentences: tuple[str, ...]
    fact: str

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
            fact's sentence against the same sentence with another answer).
        prompt: sentences that both continuations follow.
        right, wrong: one sentence each, of the same form.
        fact: id of the fact asked for; questions of one fact are not independent (a bootstrap cluster).
    """

    id: str
    kind: str
    prompt: tuple[str, ...]
    right: str
    wrong: str
    fact: str


@dataclass(frozen=True)
class _Draw:
    """The open choices of a story about a fact."""

    name: str
    town: str
    weather: str
    cameo_kind: str
    cameo: str
    forms: tuple[int, ...]  # for each sentence, a number to choose its form by


class World:
    """Facts, and the stories and questions about them.

    Subjects and answers of all facts occur in heard stories; a subject whose fact is only read appears there
    as a passer-by, in a story about something else. All answers of a kind are equally frequent.

    Args:
        seed: chooses words, ties, and which facts are heard.
        num_facts: multiple of 12; half of them are only read.

    Raises:
        InputError: a number of facts that the lexicon cannot give.
    """

    def __init__(self, seed: int, num_facts: int = 48):
        largest = min(len(kind.subjects) * len(kind.adjectives) for kind in KINDS.values()) * len(KINDS)
        if num_facts < _FACTS_STEP or num_facts % _FACTS_STEP or num_facts > largest:
            raise InputError(
                f"a world has a multiple of {_FACTS_STEP} facts, from {_FACTS_STEP} to {largest}",
                f"num_facts = {num_facts}",
                "choose e.g. 12, 48 or 216",
            )
        self.seed, self.num_facts = seed, num_facts
        self.facts: tuple[Fact, ...] = tuple(
            fact for kind in KINDS.values() for fact in tie(kind, num_facts // len(KINDS), seed)
        )
        self._by_id = {fact.id: fact for fact in self.facts}
        self._subjects = {name: sorted(f.subject for f in self.facts if f.kind == name) for name in KINDS}

    def fact(self, fact_id: str) -> Fact:
        """The fact with this id."""
        return self._by_id[fact_id]

    def facts_where(self, *, heard: bool, kind: str | None = None) -> list[Fact]:
        """Heard or only-read facts, of one kind or all."""
        return [f for f in self.facts if f.heard == heard and kind in (None, f.kind)]

    def story(self, i: int, heard_only: bool) -> Story:
        """Training story ``i``: its text is the same in any process, whatever was drawn before.

        Args:
            i: any number from 0; every ``num_facts`` stories (heard: half of it) state each fact once.
            heard_only: about heard facts only, as all speech is; otherwise about all.
        """
        return self._story("train", i, heard_only)

    def test_story(self, i: int, heard_only: bool) -> Story:
        """Held-out story ``i``: no training story has its text, nor its first sentence."""
        return self._story("test", i, heard_only)

    def stories(self, count: int, heard_only: bool) -> Iterator[Story]:
        """Training stories 0 to ``count - 1``."""
        return (self.story(i, heard_only) for i in range(count))

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word that a story can hold, in lower case, without punctuation."""
        phrases = [*NAMES, *TOWNS, *WEATHER, *WEATHER.values()]
        phrases += [part for fact in self.facts for part in (fact.subject, fact.answer)]
        for kind in KINDS.values():
            forms = (kind.openings, kind.needs, kind.facts, *kind.consequences.values(), kind.closes)
            phrases += [re.sub(r"\{\w+\}", "", form) for group in forms for form in group]
        return frozenset(word for phrase in phrases for word in re.findall(r"[a-z]+", phrase.lower()))

    def story_clozes(self, n: int) -> list[Cloze]:
        """``n`` questions on held-out heard stories: which close belongs to the first four sentences?

        Stories come in pairs of one kind that differ in person, subject, answer and feeling; each one's close
        is right once and wrong once, so whoever ignores the prompt is right on half (``n`` even).
        """
        return self._clozes("story", n, heard=True)

    def fact_clozes(self, n: int, heard: bool) -> list[Cloze]:
        """``n`` questions: an opening and a need that name the subject; which answer does its fact have?

        Facts come in pairs of one kind; each one's answer is right once and wrong once in the same form, so a
        liking for a word gives half (``n`` even). Each fact is asked for equally often, to within one.
        """
        return self._clozes("fact_heard" if heard else "fact_read", n, heard=heard)

    # How it is drawn

    def _story(self, split: str, i: int, heard_only: bool) -> Story:
        facts = self.facts_where(heard=True) if heard_only else self.facts
        order = "heard" if heard_only else "all"
        block, place = divmod(i, len(facts))
        # Each block of stories states each fact once, so no fact or answer is more frequent than another.
        fact = facts[generator(self.seed, "order", split, order, block).permutation(len(facts))[place]]
        draw = self._draw(fact, generator(self.seed, "story", split, order, i), reserved=split == "test")
        return Story(f"{split}-{order}-{i:07d}", _tell(fact, draw), fact.id)

    def _draw(self, fact: Fact, random: np.random.Generator, *, reserved: bool) -> _Draw:
        while True:
            name, town = _pick(NAMES, random), _pick(TOWNS, random)
            # Test and training stories part here: the same three words of an opening are in one of them only.
            if (derive(self.seed, "reserved", fact.subject, name, town) % _RESERVED_OF == 0) == reserved:
                break
        cameo_kind = _pick(sorted(KINDS[fact.kind].consequences), random)
        return _Draw(
            name=name,
            town=town,
            weather=_pick(tuple(WEATHER), random),
            cameo_kind=cameo_kind,
            cameo=_pick(self._subjects[cameo_kind], random),
            forms=tuple(int(number) for number in random.integers(1 << 16, size=5)),
        )

    def _clozes(self, kind: str, n: int, *, heard: bool) -> list[Cloze]:
        clozes: list[Cloze] = []
        seen: set[tuple[str, ...]] = set()
        for number, (first, second) in enumerate(self._pairs(kind, heard)):
            if len(clozes) >= n:
                break
            random = generator(self.seed, "cloze", kind, number)
            while True:
                pair = self._ask(kind, first, second, random)
                told = {(" ".join(cloze.prompt), cloze.right, cloze.wrong) for cloze in pair}
                if not told & seen:
                    break
            seen |= told
            clozes += pair
        return [
            Cloze(f"{c.kind}-{i:05d}", c.kind, c.prompt, c.right, c.wrong, c.fact) for i, c in enumerate(clozes[:n])
        ]

    def _pairs(self, kind: str, heard: bool) -> Iterator[tuple[Fact, Fact]]:
        """Endless pairs of facts of one kind with different answers; each fact once in every round."""
        groups = [self.facts_where(heard=heard, kind=name) for name in KINDS]
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
                yield from zip(shuffled[:half], shuffled[half:], strict=True)
            round_number += 1

    def _ask(self, kind: str, first: Fact, second: Fact, random: np.random.Generator) -> list[Cloze]:
        one = self._draw(first, random, reserved=True)
        while True:
            other = self._draw(second, random, reserved=True)
            if other.name != one.name and other.weather != one.weather:
                break
        other = _Draw(other.name, other.town, other.weather, other.cameo_kind, other.cameo, one.forms)
        clozes = []
        for fact, draw, rival, rival_draw in ((first, one, second, other), (second, other, first, one)):
            sentences = _tell(fact, draw)
            if kind == "story":
                prompt, right, wrong = sentences[:4], sentences[4], _tell(rival, rival_draw)[4]
            else:
                lie = Fact(fact.id, fact.kind, fact.subject, rival.answer, fact.heard)
                prompt, right, wrong = sentences[:2], sentences[2], _tell(lie, draw)[2]
            clozes.append(Cloze("", kind, prompt, right, wrong, fact.id))
        return clozes


def _pick(words: Sequence[str], random: np.random.Generator) -> str:
    return words[int(random.integers(len(words)))]


def _tell(fact: Fact, draw: _Draw) -> tuple[str, ...]:
    kind = KINDS[fact.kind]
    words: Mapping[str, str] = {
        "name": draw.name,
        "town": draw.town,
        "subject": fact.subject,
        "answer": fact.answer,
        "weather": draw.weather,
        "feeling": WEATHER[draw.weather],
        "cameo": draw.cameo,
    }
    slots = (kind.openings, kind.needs, kind.facts, kind.consequences[draw.cameo_kind], kind.closes)
    return tuple(forms[number % len(forms)].format_map(words) for forms, number in zip(slots, draw.forms, strict=True))
