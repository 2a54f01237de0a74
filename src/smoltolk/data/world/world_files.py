"""The story world on disk, and its questions read back.

::

    DIR/people.json      who lives in it
    DIR/facts.json       what is so of them
    DIR/stories.jsonl    stories about all facts: what may be read
    DIR/text.txt         the same, a story a line
    DIR/spoken.jsonl     stories about heard facts only: what may be spoken (id, text)
    DIR/clozes.jsonl     the questions
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, read_jsonl, write_json, write_jsonl, write_text
from smoltolk.data.world.stories import Cloze, World

_PEOPLE, _FACTS = "people.json", "facts.json"


def ask_all(world: World, num_story: int, num_fact: int) -> list[Cloze]:
    """Questions on stories, on heard facts and on facts that are only read.

    Args:
        world: the world.
        num_story: story questions.
        num_fact: questions of each of the two kinds of facts.
    """
    heard, read = (world.fact_clozes(num_fact, heard=heard) for heard in (True, False))
    return [*world.story_clozes(num_story), *heard, *read]


def write_world(folder: Path, world: World, num_stories: int, clozes: list[Cloze]) -> None:
    """Write the files named above.

    Args:
        folder: an existing directory, not yet in its place.
        world: the world.
        num_stories: stories of each list.
        clozes: the questions.
    """
    write_json(folder / _PEOPLE, [asdict(person) for person in world.people])
    write_json(folder / _FACTS, [asdict(fact) for fact in world.facts])
    stories = list(world.stories(num_stories, heard_only=False))
    write_jsonl(folder / "stories.jsonl", (asdict(story) for story in stories))
    write_text(folder / "text.txt", "".join(story.text + "\n" for story in stories))
    spoken = world.stories(num_stories, heard_only=True)
    write_jsonl(folder / "spoken.jsonl", ({"id": story.id, "text": story.text} for story in spoken))
    write_jsonl(folder / "clozes.jsonl", (asdict(cloze) for cloze in clozes))


def read_world(folder: Path | str, seed: int) -> World:
    """A world as :func:`write_world` left it, made again.

    Args:
        folder: its directory.
        seed: that it was made with.

    Raises:
        NotFoundError: no ``people.json`` or ``facts.json`` there.
        InputError: it was made with another seed, or by other means.
    """
    held = [read_json(Path(folder) / name) for name in (_PEOPLE, _FACTS)]
    count = len(held[0]) if isinstance(held[0], list) else 0
    world = World(seed, count)
    if held != [[asdict(one) for one in rows] for rows in (world.people, world.facts)]:
        raise InputError(
            "a world is made again of its seed and its number of people",
            f"{folder} is not that of seed {seed} and {count} people",
            "name the --seed that it was made with",
        )
    return world


def read_clozes(path: Path | str) -> list[Cloze]:
    """Questions as :func:`write_world` left them.

    Args:
        path: a file of questions, or a directory that holds ``clozes.jsonl``.

    Raises:
        NotFoundError: no such file.
        InputError: a line that is no question, or none at all.
    """
    path = Path(path)
    path = path / "clozes.jsonl" if path.is_dir() else path
    clozes = []
    for number, row in enumerate(read_jsonl(path), 1):
        try:
            clozes.append(Cloze(**{**row, "prompt": tuple(row["prompt"])}))
        except (KeyError, TypeError) as error:
            raise InputError(
                "a question has id, kind, prompt (sentences), right, wrong and fact",
                f"{path}, line {number}: {error}",
                "correct the line",
            ) from error
    if not clozes:
        raise InputError("a file of questions holds one at least", f"{path} has none", "write the world again")
    return clozes
