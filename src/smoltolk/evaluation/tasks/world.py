"""The questions of a story world: stories and facts, heard or read, answered by speaking or by writing.

Needs ``--questions`` (a world's directory or its clozes.jsonl) and ``--shards`` (its options, spoken and prepared).
"""

from __future__ import annotations

from smoltolk.common.errors import InputError
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.world.world_files import read_clozes
from smoltolk.evaluation.questions import SpokenCloze, spoken_clozes
from smoltolk.evaluation.tasks.items import Item, Segment
from smoltolk.evaluation.tasks.task import Loaded, Source, Task


def load_world(source: Source) -> Loaded:
    """Every question in every direction."""
    if source.questions is None or source.shards is None:
        raise InputError(
            "a world is asked with --questions (its directory) and --shards (its options, spoken and prepared)",
            "one of them is missing",
            "smoltolk evaluate MODEL world --questions world --shards asked --out RUN",
        )
    clozes = spoken_clozes(read_clozes(source.questions), read_shards(source.shards), source.tokenizer)
    return Loaded(world_items(clozes, source.directions))


def world_items(clozes: list[SpokenCloze], directions: tuple[str, ...]) -> list[Item]:
    """Questions as items of the cells ``KIND DIRECTION``."""
    return [_item(cloze, way) for way in directions for cloze in clozes]


def _item(cloze: SpokenCloze, way: str) -> Item:
    listens, speaks = way[0] == "S", way[-1] == "S"
    prompts = (
        tuple((Segment(cloze.prompt_text, units=units),) for units in cloze.spoken_prompts)
        if listens
        else ((Segment(cloze.prompt_text),),)
    )
    options = [(cloze.right_text, cloze.right_units), (cloze.wrong_text, cloze.wrong_units)]
    return Item(
        id=cloze.id,
        cell=f"{cloze.kind} {way}",
        prompts=prompts,
        options=tuple((Segment(text, units=units if speaks else None),) for text, units in options),
        question=cloze.id if cloze.mirror is None else min(cloze.id, cloze.mirror),
        cluster=cloze.fact,
        rival=cloze.rival,
        mirror=cloze.mirror,
        prompt_tokens=cloze.prompt_tokens,
        option_tokens=(cloze.right_tokens, cloze.wrong_tokens),
    )


WORLD = Task("world", "questions of a story world", load_world)
