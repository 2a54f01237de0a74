"""Words and sentence forms of the generated world.

All words are common English, each in the CMU pronouncing dictionary, and those that compete for one slot
sound clearly different: a recogniser and a listening model must tell them apart. Pets begin with consonants,
so that "a" fits.
"""

from __future__ import annotations

from dataclasses import dataclass


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


FIRST_NAMES = _words(
    "Alice Anna Ben Clara David Emma Frank Grace Henry Julia Kevin Martin Oscar Peter Robert Sophie "
    "Thomas Victor Walter Diana Gloria Simon Felix Jack Lucy Bruno Ruth Tony Zoe Philip Edith Nora"
)
LAST_NAMES = _words(
    "Keller Baxter Carter Dawson Fisher Garcia Hoffman Jackson Kennedy Lopez Miller Nelson Parker Quinn Rogers Santos "
    "Taylor Vargas Watson Young Bishop Cooper Dalton Murphy Hughes Palmer Sanders Wagner Becker Stone Pratt Bradley"
)

# Cause -> consequence: a story of a rainy day ends wet.
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

OPENINGS = ("This is {name}.", "Here comes {name}.", "Meet {name}.")
DAYS = ("One {weather} day begins.", "It is a {weather} day.", "A {weather} morning starts.")
CLOSES = ("Now {who} is {feeling}.", "Soon {who} feels {feeling}.", "Later {who} gets {feeling}.")


@dataclass(frozen=True)
class Attribute:
    """Something that every person has one of.

    Attributes:
        answers: what it can be.
        forms: sentences that tie a person ({who}) to an answer, which is their last word; no two attributes share one.
    """

    name: str
    answers: tuple[str, ...]
    forms: tuple[str, ...]


ATTRIBUTES = {
    attribute.name: attribute
    for attribute in (
        Attribute(
            name="food",
            answers=_words("bananas bread honey mushrooms peanuts pumpkin rice salad"),
            forms=("{who} eats {answer}.", "{who} often cooks {answer}.", "{who} always buys {answer}."),
        ),
        Attribute(
            name="hobby",
            answers=_words("baseball chess dancing fishing poetry soccer tennis yoga"),
            forms=("{who} really enjoys {answer}.", "{who} is good at {answer}.", "{who} teaches {answer}."),
        ),
        Attribute(
            name="pet",
            answers=_words("camel fox gorilla horse lizard parrot rabbit turtle"),
            forms=("{who} has a {answer}.", "{who} feeds a {answer}.", "{who} keeps a {answer}."),
        ),
        Attribute(
            name="town",
            answers=_words("Boston Chicago Dublin Havana Madrid Moscow Tokyo Vienna"),
            forms=("{who} lives in {answer}.", "{who} comes from {answer}.", "{who} works in {answer}."),
        ),
    )
}
