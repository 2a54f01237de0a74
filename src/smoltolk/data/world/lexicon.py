"""Words and sentence forms of the generated world.

All words are common English, each in the CMU pronouncing dictionary, and those that compete for one slot
sound clearly different: a recogniser and a listening model must tell them apart. Nouns begin with consonants,
so that "a" fits.
"""

from __future__ import annotations

from dataclasses import dataclass


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


NAMES = _words("Alice Ben Clara David Emma Frank Grace Henry Julia Kevin Martin Nora Oscar Peter Sophie Victor")
TOWNS = _words("Boston Chicago Dublin Havana Madrid Miami Moscow Oslo Paris Texas Tokyo Vienna")

# Cause -> consequence: a story that opens on a rainy day ends wet.
WEATHER = {
    "bright": "happy",
    "dark": "scared",
    "foggy": "lost",
    "hot": "thirsty",
    "quiet": "sleepy",
    "rainy": "wet",
    "snowy": "cold",
    "windy": "tired",
}


@dataclass(frozen=True)
class Kind:
    """One kind of fact: what can be its subject and its answer, and how its stories are told.

    Attributes:
        subjects: nouns a fact can be about.
        adjectives: multiply the subjects of a world that needs more of them ("the young fox").
        answers: what a fact can say of its subject; always the last word of the fact's sentence.
        openings: name the town, the person and the subject: all three, held-out stories are reserved by them.
        needs: tell the weather, and why the fact will matter; no answer.
        facts: tie the subject to its answer.
        consequences: for each other kind, forms in which a subject of that kind helps out; tell the answer.
        closes: repeat the person and the subject, and end as the weather made them feel.
    """

    name: str
    subjects: tuple[str, ...]
    adjectives: tuple[str, ...]
    answers: tuple[str, ...]
    openings: tuple[str, ...]
    needs: tuple[str, ...]
    facts: tuple[str, ...]
    consequences: dict[str, tuple[str, ...]]
    closes: tuple[str, ...]


ANIMAL = Kind(
    name="animal",
    subjects=_words(
        "beaver buffalo camel dolphin duck fox goat gorilla horse lion lizard monkey panda parrot penguin "
        "pigeon puppy rabbit spider squirrel tiger turtle wolf zebra"
    ),
    adjectives=("brown", "giant", "lazy", "tiny", "white", "young"),
    answers=("bananas", "bread", "honey", "mushrooms", "peanuts", "pumpkin", "rice", "salad"),
    openings=(
        "In {town}, {name} has a {subject}.",
        "{name} finds a {subject} in {town}.",
        "{name} and a {subject} live in {town}.",
    ),
    needs=(
        "One {weather} day it is hungry.",
        "That {weather} day it wants food.",
        "It must eat this {weather} day.",
    ),
    facts=(
        "The {subject} eats only {answer}.",
        "The {subject} always wants {answer}.",
        "The {subject} really loves {answer}.",
    ),
    consequences={
        "person": (
            "So {name} and the {cameo} buy {answer}.",
            "Then the {cameo} gives {name} some {answer}.",
        ),
        "object": (
            "So {name} sells the {cameo} for {answer}.",
            "Then {name} trades the {cameo} for {answer}.",
        ),
    },
    closes=(
        "Now {name} and the {subject} are {feeling}.",
        "Soon the {subject} and {name} feel {feeling}.",
        "Later the {feeling} {subject} thanks {name}.",
    ),
)

OBJECT = Kind(
    name="object",
    subjects=_words(
        "bicycle blanket bucket camera clock drum guitar helmet kite ladder lamp mirror necklace notebook "
        "piano pillow shovel suitcase sweater telescope tractor trumpet violin wagon"
    ),
    adjectives=("blue", "broken", "green", "heavy", "red", "yellow"),
    answers=("basement", "castle", "forest", "garage", "garden", "kitchen", "library", "museum"),
    openings=(
        "In {town}, {name} has a {subject}.",
        "{name} buys a {subject} in {town}.",
        "{name} gets a {subject} from {town}.",
    ),
    needs=(
        "One {weather} day {name} needs it.",
        "That {weather} day it is gone.",
        "{name} wants it this {weather} day.",
    ),
    facts=(
        "The {subject} is in the {answer}.",
        "The {subject} stays in the {answer}.",
        "The {subject} belongs in the {answer}.",
    ),
    consequences={
        "animal": (
            "So {name} and the {cameo} visit the {answer}.",
            "Then the {cameo} finds the {answer}.",
        ),
        "person": (
            "So {name} and the {cameo} visit the {answer}.",
            "Then the {cameo} finds the {answer}.",
        ),
    },
    closes=(
        "Now {feeling} {name} has the {subject}.",
        "Soon {name} is {feeling} near the {subject}.",
        "Later {feeling} {name} holds the {subject}.",
    ),
)

PERSON = Kind(
    name="person",
    subjects=_words(
        "baker captain carpenter cowboy dentist detective doctor driver farmer hunter judge lawyer magician "
        "mayor nurse pilot plumber president priest queen scientist singer soldier teacher"
    ),
    adjectives=("clever", "famous", "polite", "shy", "tall", "young"),
    answers=("baseball", "chess", "dancing", "fishing", "poetry", "soccer", "tennis", "yoga"),
    openings=(
        "In {town}, {name} meets a {subject}.",
        "{name} visits a {subject} in {town}.",
        "{name} and a {subject} live in {town}.",
    ),
    needs=(
        "One {weather} day they are bored.",
        "That {weather} day they want fun.",
        "They have time this {weather} day.",
    ),
    facts=(
        "The {subject} really enjoys {answer}.",
        "The {subject} always picks {answer}.",
        "The {subject} is good at {answer}.",
    ),
    consequences={
        "animal": (
            "So {name} and the {cameo} try {answer}.",
            "Then the {cameo} watches {name} learn {answer}.",
        ),
        "object": (
            "So {name} leaves the {cameo} for {answer}.",
            "Then {name} trades the {cameo} for {answer}.",
        ),
    },
    closes=(
        "Now {name} and the {subject} are {feeling}.",
        "Soon the {subject} and {name} feel {feeling}.",
        "Later the {feeling} {subject} thanks {name}.",
    ),
)

KINDS = {kind.name: kind for kind in (ANIMAL, OBJECT, PERSON)}
