"""A world on disk, and its questions read back."""

from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json, read_jsonl, write_json
from smoltolk.data.world.stories import World
from smoltolk.data.world.world_files import ask_all, read_clozes, read_world, write_world


def test_questions_come_back_as_they_were(world: World, tmp_path: Path) -> None:
    clozes = ask_all(world, 6, 4)
    write_world(tmp_path, world, 5, clozes)
    assert read_clozes(tmp_path) == read_clozes(tmp_path / "clozes.jsonl") == clozes
    assert [cloze.kind for cloze in clozes] == ["story"] * 6 + ["fact_heard"] * 4 + ["fact_read"] * 4


def test_only_heard_facts_are_for_speaking(world: World, tmp_path: Path) -> None:
    write_world(tmp_path, world, 24, [])
    people = {person["id"]: person for person in read_json(tmp_path / "people.json")}
    assert [(p["first"], p["last"]) for p in people.values()] == [(p.first, p.last) for p in world.people]
    facts = {fact["id"]: fact for fact in read_json(tmp_path / "facts.json")}
    assert len(facts) == 4 * len(people) and {fact["person"] for fact in facts.values()} == set(people)
    stories = list(read_jsonl(tmp_path / "stories.jsonl"))
    assert len((tmp_path / "text.txt").read_text().splitlines()) == len(stories) == 24
    assert {fact for story in stories for fact in story["facts"]} == set(facts)
    spoken = list(read_jsonl(tmp_path / "spoken.jsonl"))
    assert [row["text"] for row in spoken] == [story.text for story in world.stories(24, heard_only=True)]
    said = {fact["id"] for fact in facts.values() for row in spoken if _says(row["text"], fact, people)}
    assert said == {fact["id"] for fact in facts.values() if fact["heard"]}


def _says(text: str, fact: dict, people: dict[str, dict]) -> bool:
    person = people[fact["person"]]
    return f" {person['first']} {person['last']}. " in text and f" {fact['answer']}. " in text


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_clozes(tmp_path)
    (tmp_path / "clozes.jsonl").write_text('{"id": "a", "prompt": []}\n')
    with pytest.raises(InputError, match="line 1"):
        read_clozes(tmp_path)
    (tmp_path / "clozes.jsonl").write_text("")
    with pytest.raises(InputError, match="has none"):
        read_clozes(tmp_path)


def test_a_world_is_made_again_of_its_files(tmp_path: Path) -> None:
    for seed, people in ((0, 12), (3, 24)):
        write_world(tmp_path, World(seed, people), 1, [])
        again = read_world(tmp_path, seed)
        assert again.people == World(seed, people).people and again.facts == World(seed, people).facts
    with pytest.raises(InputError, match=r"(?s)not that of seed 0 and 24 people.*--seed"):
        read_world(tmp_path, 0)
    facts = read_json(tmp_path / "facts.json")
    write_json(tmp_path / "facts.json", [{**facts[0], "answer": "tea"}, *facts[1:]])
    with pytest.raises(InputError, match="not that of seed 3"):
        read_world(tmp_path, 3)
    with pytest.raises(NotFoundError):
        read_world(tmp_path / "nowhere", 0)
