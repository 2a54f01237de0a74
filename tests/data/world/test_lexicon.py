import re
from itertools import combinations
from pathlib import Path

import pytest

from smoltolk.data.world.lexicon import ATTRIBUTES, CLOSES, DAYS, FIRST_NAMES, LAST_NAMES, OPENINGS, WEATHER
from smoltolk.data.world.stories import World


@pytest.fixture(scope="module")
def pronunciations() -> dict[str, list[tuple[str, ...]]]:
    pocketsphinx = pytest.importorskip("pocketsphinx")
    found: dict[str, list[tuple[str, ...]]] = {}
    path = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        found.setdefault(re.sub(r"\(\d+\)$", "", word), []).append(tuple(phones))
    return found


def distance(one: tuple[str, ...], two: tuple[str, ...]) -> int:
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def test_the_judge_knows_every_word(pronunciations: dict[str, list[tuple[str, ...]]]) -> None:
    missing = {word for n in (12, 240, 960) for word in World(0, n).vocabulary if word not in pronunciations}
    assert not missing


def test_no_two_words_sound_the_same(pronunciations: dict[str, list[tuple[str, ...]]]) -> None:
    heard: dict[tuple[str, ...], str] = {}
    for word in sorted(World(0, 960).vocabulary):
        for phones in pronunciations[word]:
            assert heard.setdefault(phones, word) == word


def test_words_that_compete_differ_in_two_phones_or_more(
    pronunciations: dict[str, list[tuple[str, ...]]],
) -> None:
    slots = [(*FIRST_NAMES, *LAST_NAMES), tuple(WEATHER), tuple(WEATHER.values())]
    slots += [attribute.answers for attribute in ATTRIBUTES.values()]
    for slot in slots:
        assert len(set(slot)) == len(slot)
        for one, two in combinations([word.lower() for word in slot], 2):
            closest = min(distance(a, b) for a in pronunciations[one] for b in pronunciations[two])
            assert closest >= 2, (one, two)


def test_a_word_has_one_part_in_a_story() -> None:
    """Else a name, an answer, a weather or a feeling could be taken for another."""
    answers = [answer for attribute in ATTRIBUTES.values() for answer in attribute.answers]
    words = [word.lower() for word in (*FIRST_NAMES, *LAST_NAMES, *WEATHER, *WEATHER.values(), *answers)]
    assert len(set(words)) == len(words)
    forms = [*OPENINGS, *DAYS, *CLOSES, *(form for a in ATTRIBUTES.values() for form in a.forms)]
    told = {word for form in forms for word in re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "", form.lower()))}
    assert not told & set(words)


def test_forms_have_the_places_that_stories_fill() -> None:
    groups = {OPENINGS: {"{name}"}, DAYS: {"{weather}"}, CLOSES: {"{who}", "{feeling}"}}
    groups |= {attribute.forms: {"{who}", "{answer}"} for attribute in ATTRIBUTES.values()}
    for forms, places in groups.items():
        assert len(forms) == len(set(forms)) == 3
        for form in forms:
            found = re.findall(r"\{\w+\}", form)
            assert set(found) == places and len(found) == len(places)


def test_the_last_word_is_what_is_asked_for() -> None:
    for attribute in ATTRIBUTES.values():
        assert all(form.endswith(" {answer}.") for form in attribute.forms)
    assert all(form.endswith(" {feeling}.") for form in CLOSES)


def test_attributes_share_nothing() -> None:
    assert all(attribute.name == name for name, attribute in ATTRIBUTES.items())
    forms = [form for attribute in ATTRIBUTES.values() for form in attribute.forms]
    assert len(set(forms)) == len(forms)


def test_a_fits_every_word_behind_it() -> None:
    after_a = (ATTRIBUTES["pet"].answers, tuple(WEATHER))
    assert not [word for words in after_a for word in words if word[0] in "aeiou"]
