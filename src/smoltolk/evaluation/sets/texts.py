"""What small sets of a story world are made of, before anything is spoken: words, sentences, stories, questions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.world.facts import Fact
from smoltolk.data.world.lexicon import ATTRIBUTES, CLOSES, DAYS, OPENINGS
from smoltolk.data.world.stories import World

# Words that are in no story: they have the frequency 0, as words have that the training speech never says.
UNHEARD = (
    "basket", "candle", "doctor", "garden", "hammer", "ladder", "mirror", "pencil", "ribbon", "saddle", "ticket",
    "velvet",
)  # fmt: skip
_ONSETS = tuple("bdfgklmnprstvw")
_IDLE = 100  # stories in a row that say nothing new
_COUNTED = 1000  # heard stories that frequencies are counted in


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, the first of which should be likelier.

    Attributes:
        id: unique among its kind.
        right, wrong: what is said.
        strata: what else the official table says of it.
    """

    id: str
    right: str
    wrong: str
    strata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """A prompt with endings, one of them right.

    Attributes:
        id: unique among its kind.
        prompt: sentences, or the beginning of one.
        endings: each follows the prompt.
        right: number of the right one.
        mirror: id of the choice in which the other one of two endings is right; None: there is none.
        cluster: what it is about.
    """

    id: str
    prompt: str
    endings: tuple[str, ...]
    right: int = 0
    mirror: str | None = None
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model is to write on.

    Attributes:
        prompt: said before the answer.
        answer: what is so.
    """

    prompt: str
    answer: str


def word_pairs(world: World, count: int, seed: int) -> list[Pair]:
    """Words of the world, a quarter of them such that no story has, against what sounds like a word and is none.

    A nonword is a word with another consonant for its first; names and sentence words of the world are no nonwords.

    Args:
        world: whose words.
        count: pairs.
        seed: of the choice.

    Raises:
        InputError: more than there are words.
    """
    random = generator(seed, "words")
    heard: Counter[str] = Counter()
    for story in world.stories(_COUNTED, heard_only=True):
        heard.update(re.findall(r"[a-z]+", story.text.lower()))
    known = sorted(word for word in heard if len(word) > 3 and word[0] in _ONSETS)
    unheard = [UNHEARD[k] for k in random.permutation(len(UNHEARD))[: count // 4]]
    if count - len(unheard) > len(known):
        most = f"{len(known)} words that begin with a consonant, and {len(UNHEARD)} that no story has"
        raise InputError("a set has no more words than the world", f"{count} of {most}", "ask for fewer items")
    chosen = [known[k] for k in random.permutation(len(known))[: count - len(unheard)]] + unheard
    taken, pairs = set(world.vocabulary) | set(UNHEARD), []
    for number, word in enumerate(chosen):
        others = [onset + word[1:] for onset in _ONSETS if onset + word[1:] not in taken]
        nonword = others[int(random.integers(len(others)))]
        pairs.append(Pair(str(number), word, nonword, {"frequency": str(heard[word])}))
    return pairs


def sentence_pairs(world: World, count: int, seed: int) -> list[Pair]:
    """Sentences of held-out stories against the same with a mistake, of three types in turns.

    ``subject_verb_agreement`` (*Anna live in Boston*), ``determiner_noun_agreement`` (*Anna has a horses*),
    ``argument_structure`` (*Anna lives Boston in*).
    """
    types = {"subject_verb_agreement": _plural_verb, "determiner_noun_agreement": _plural_noun,
             "argument_structure": _turned_round}  # fmt: skip
    found: dict[str, list[Pair]] = {name: [] for name in types}
    seen: set[str] = set()
    number = idle = 0
    while sum(map(len, found.values())) < count:
        idle += 1
        for place, sentence in enumerate(world.test_story(number, heard_only=True).sentences):
            if sentence in seen:
                continue
            name = min(types, key=lambda one: (len(found[one]), one))
            spoilt = types[name](sentence)
            if spoilt is not None and sum(map(len, found.values())) < count:
                subtype = ("opening", "day", "fact", "fact", "close")[place]
                pair = Pair(str(len(found[name])), sentence, spoilt, {"type": name, "subtype": f"{name}_{subtype}"})
                found[name].append(pair)
                seen.add(sentence)
                idle = 0
        number += 1
        if idle > _IDLE:
            fix = "ask for fewer items, or make more people"
            raise InputError("a set has no more sentences than the world", f"{count} of {len(seen)}", fix)
    return [pair for pairs in found.values() for pair in pairs]


def topic_choices(world: World, count: int) -> list[Choice]:
    """Held-out stories: the close that belongs to one, against that of another story."""
    return [
        Choice(f"{number:05d}", " ".join(cloze.prompt), (cloze.right, cloze.wrong), cluster=cloze.fact)
        for number, cloze in enumerate(world.story_clozes(count + count % 2)[:count])
    ]


def story_choices(world: World, count: int) -> list[Choice]:
    """The same stories: the close, against one of the same person that does not follow from the weather."""
    choices = []
    for number, cloze in enumerate(world.story_clozes(count + count % 2)[:count]):
        wrong = " ".join([*cloze.right.split()[:-1], cloze.wrong.split()[-1]])
        choices.append(Choice(f"{number:05d}", " ".join(cloze.prompt), (cloze.right, wrong), cluster=cloze.fact))
    return choices


def fact_choices(world: World, count: int, *, heard: bool) -> list[Choice]:
    """The answer's sentence against the same with another answer; each is right once and wrong once."""
    clozes = world.fact_clozes(count + count % 2, heard=heard)
    return [
        Choice(cloze.id, " ".join(cloze.prompt), (cloze.right, cloze.wrong),
               mirror=clozes[number ^ 1].id, cluster=cloze.fact)
        for number, cloze in enumerate(clozes)
    ]  # fmt: skip


def four_choices(world: World, count: int, seed: int) -> list[Choice]:
    """Heard facts: the answer's sentence among the same with three other answers."""
    choices = []
    for number, cloze in enumerate(world.fact_clozes(count + count % 2, heard=True)[:count]):
        random = generator(seed, "endings", number)
        fact = world.fact(cloze.fact)
        others = [answer for answer in ATTRIBUTES[fact.attribute].answers if answer != fact.answer]
        answers = [others[k] for k in random.permutation(len(others))[:3]]
        right = int(random.integers(4))
        answers.insert(right, fact.answer)
        endings = tuple(" ".join([*cloze.right.split()[:-1], f"{answer}."]) for answer in answers)
        choices.append(Choice(str(number), " ".join(cloze.prompt), endings, right, cluster=cloze.fact))
    return choices


def facts_asked(world: World, count: int, seed: int, *, heard: bool) -> list[Asked]:
    """Sentences about people that stop before the answer: whoever goes on says it."""
    facts = world.facts_where(heard=heard)
    order = generator(seed, "asked", int(heard)).permutation(len(facts))[:count]
    return [_asked(world, facts[k], generator(seed, "asked", facts[k].id)) for k in order]


def feelings_asked(world: World, count: int) -> list[Asked]:
    """Held-out stories that stop before their last word, which follows from the weather."""
    asked = []
    for number in range(count):
        *before, last = world.test_story(number, heard_only=True).text.split()
        asked.append(Asked(" ".join(before), last.rstrip(".")))
    return asked


def sentences(world: World, count: int) -> list[str]:
    """A sentence of each of some held-out stories; which one takes turns."""
    stories = (world.test_story(number, heard_only=True) for number in range(count))
    return [story.sentences[number % len(story.sentences)] for number, story in enumerate(stories)]


def of_weather(world: World, weather: str, feeling: str, number: int) -> str:
    """A beginning that says the weather, and an end that says the feeling, of some person."""
    person = world.people[number % len(world.people)]
    opening, day, close = (forms[number % len(forms)] for forms in (OPENINGS, DAYS, CLOSES))
    names = {"name": person.name, "who": person.first, "weather": weather, "feeling": feeling}
    return " ".join(form.format(**names) for form in (opening, day, close))


def _asked(world: World, fact: Fact, random: np.random.Generator) -> Asked:
    person = world.person(fact.person)
    form = _one(ATTRIBUTES[fact.attribute].forms, random).format(who=person.name, answer="")
    return Asked(f"{_one(OPENINGS, random).format(name=person.name)} {form.rstrip(' .')}", fact.answer)


def _one(forms: Sequence[str], random: np.random.Generator) -> str:
    return forms[int(random.integers(len(forms)))]


def _plural_verb(sentence: str) -> str | None:
    """The first verb in the plural: words that end in s, but for names and what stands behind a noun."""
    words = sentence.split()
    plural = {"is": "are", "has": "have", "teaches": "teach", "This": None, "always": None}
    for place, word in enumerate(words):
        if word in plural and plural[word] is None:
            continue
        if word in plural or (word.endswith("s") and word.islower()):
            words[place] = plural.get(word) or word[:-1]
            return " ".join(words)
    return None


def _plural_noun(sentence: str) -> str | None:
    """The noun behind an article in the plural."""
    words = sentence.split()
    for place, word in enumerate(words[:-1]):
        if word.lower() in ("a", "one"):
            # An adjective may stand between: the noun is the last word before the verb, or of the sentence.
            last = next((k for k in range(place + 1, len(words)) if words[k] in ("begins.", "starts.")), len(words))
            noun = words[last - 1]
            bare = noun.rstrip(".")
            plural = bare + ("es" if bare.endswith("x") else "s")
            words[last - 1] = plural + noun[len(bare) :]
            return " ".join(words)
    return None


def _turned_round(sentence: str) -> str | None:
    """The last two words in the wrong order."""
    words = sentence.rstrip(".").split()
    return " ".join([*words[:-2], words[-1], words[-2]]) + "." if len(words) > 2 else None
