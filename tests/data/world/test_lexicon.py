import re
from itertools import combinations
from pathlib import Path

import pytest

from smoltolk.data.world.lexicon import KINDS, NAMES, TOWNS, WEATHER
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
    missing = {word for n in (12, 48, 432) for word in World(0, n).vocabulary if word not in pronunciations}
    assert not missing


def test_no_two_words_sound_the_same(pronunciations: dict[str, list[tuple[str, ...]]]) -> None:
    heard: dict[tuple[str, ...], str] = {}
    for word in World(0, 432).vocabulary:
        for phones in pronunciations[word]:
            assert heard.setdefault(phones, word) == word


def test_words_that_compete_differ_in_two_phones_or_more(
    pronunciations: dict[str, list[tuple[str, ...]]],
) -> None:
    slots = [
        [name.lower() for name in NAMES],
        [town.lower() for town in TOWNS],
        list(WEATHER),
        [*WEATHER.values()],
    ]
    slots += [list(group) for k in KINDS.values() for group in (k.subjects, k.answers, k.adjectives)]
    for slot in slots:
        for one, two in combinations(slot, 2):
            closest = min(distance(a, b) for a in pronunciations[one] for b in pronunciations[two])
            assert closest >= 2, (one, two)


def test_forms_have_the_places_that_stories_fill() -> None:
    for kind in KINDS.values():
        for form in kind.openings:
            assert {"{name}", "{town}", "{subject}"} <= set(re.findall(r"\{\w+\}", form))
        assert all("{answer}" not in form for form in (*kind.openings, *kind.needs))
        assert all("{weather}" in form for form in kind.needs)
        assert all(form.endswith(" {answer}.") and "{subject}" in form for form in kind.facts)
        assert all("{feeling}" in f and "{name}" in f and "{subject}" in f for f in kind.closes)
        assert set(kind.consequences) < set(KINDS) and kind.name not in kind.consequences
        for forms in kind.consequences.values():
            assert all("{cameo}" in form and "{answer}" in form for form in forms)
