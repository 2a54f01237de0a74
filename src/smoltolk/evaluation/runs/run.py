"""A run: tasks put to a model, item by item, kept on disk, and judged by one or several rules.

::

    RUN/run.json          the command, what the model and the units are, what was fed
    RUN/TASK.jsonl        a record for each item (smoltolk.evaluation.runs.records)
    RUN/.TASK/00003.jsonl records of a run that goes on; the same command goes on there
    RUN/results.json, results.md, results.svg
    RUN/submission/       of sWUGGY and sBLIMP, for the official scorer
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smoltolk.common.files import read_json, read_jsonl, write_json, write_jsonl
from smoltolk.common.made import differences
from smoltolk.common.processes import is_main, num_processes, rank
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import generator
from smoltolk.evaluation.runs.asking import Asking
from smoltolk.evaluation.runs.feeds import Feed
from smoltolk.evaluation.runs.presets import NamedRule
from smoltolk.evaluation.runs.records import Record, shape_of
from smoltolk.evaluation.runs.run_place import RUN, another_run, check_free, check_tasks
from smoltolk.evaluation.tasks.items import Item
from smoltolk.evaluation.tasks.task import Loaded, Task

CHUNK = 256  # items whose records are one file until all are there
Bars = Callable[[str, float, str], AbstractContextManager[Bar]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A task with its items.

    Attributes:
        task: which.
        loaded: its items, after ``--limit``.
        feeds: of each shape of its items, e.g. ``S->T``.
        lenders: for each item another one of its cell, which lends its text where a feed has a prefix.
    """

    task: Task
    loaded: Loaded
    feeds: dict[str, Feed] = field(default_factory=dict)
    lenders: list[Item] = field(default_factory=list)

    @property
    def chunks(self) -> list[list[Item]]:
        """Items in the order of the layout, so many at a time."""
        items = self.loaded.items
        return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]


def asked_of(task: Task, loaded: Loaded, rule: NamedRule, limit: int | None, seed: int) -> Asked:
    """A task as it is run: drawn items, and what each shape of them is fed.

    Args:
        task, loaded: as it was read.
        rule: what it is run for.
        limit: questions that are drawn; None: all. All directions ask the same ones; mirror images stay together.
        seed: of the draw.
    """
    items = loaded.items
    questions = list(dict.fromkeys(item.drawn_with for item in items))
    if limit is not None and limit < len(questions):
        chosen = generator(seed, "limit", task.name).permutation(len(questions))[:limit]
        kept = {questions[number] for number in chosen}
        items = [item for item in items if item.drawn_with in kept]
        loaded = Loaded(items, [*loaded.notes, f"{limit} of {len(questions)} questions, drawn with seed {seed}"])
    feeds = {shape_of(item): rule.for_item(task.name, bool(item.prompts)).feed for item in items}
    return Asked(task, loaded, feeds, _lenders(items))


def open_run(out: Path, command: dict[str, Any], about: dict[str, Any]) -> None:
    """Begin a run, or go on with one.

    Raises:
        InputError: the directory holds another run, or something else.
    """
    place = out / RUN
    if place.is_file():
        held = read_json(place)
        check_tasks(out, held["command"], command)
        different = differences(held["command"], command)
        if different:
            raise another_run(out, different)
        return
    if not is_main():
        return
    check_free(out)
    write_json(place, {"command": command, **about})


def missing_chunks(out: Path, name: str, num_chunks: int) -> list[int]:
    """Numbers of the chunks of a task that have no records yet."""
    if (out / f"{name}.jsonl").is_file():
        return []
    return [number for number in range(num_chunks) if not _part(out, name, number).is_file()]


def do_chunks(
    out: Path, name: str, chunks: Sequence[Sequence[Any]], do: Callable[[int, Bar], Sequence[Record]], bars: Bars
) -> None:
    """Make the records of what is missing; of several processes each takes its share.

    Args:
        out: the run.
        name: of the task.
        chunks: its items.
        do: makes the records of a chunk, by its number, and advances the bar by its items.
        bars: progress.
    """
    mine = [number for number in missing_chunks(out, name, len(chunks)) if number % num_processes() == rank()]
    if mine:
        with bars(name, sum(len(chunks[number]) for number in mine), "items") as progress:
            for number in mine:
                write_jsonl(_part(out, name, number), do(number, progress))


def ask_chunk(asked: Asked, asking: Asking, number: int, progress: Bar | None = None) -> list[Record]:
    """Put the items of a chunk to a model, those of each shape as they are fed."""
    items, lenders = asked.chunks[number], asked.lenders
    records: dict[int, Record] = {}
    for shape, feed in asked.feeds.items():
        places = [place for place, item in enumerate(items) if shape_of(item) == shape]
        others = [lenders[number * CHUNK + place] for place in places]
        if places:
            found = asking.ask([items[place] for place in places], feed, others, progress)
            records |= dict(zip(places, found, strict=True))
    return [records[place] for place in range(len(items))]


def gather(out: Path, name: str, num_chunks: int) -> list[Record]:
    """All records of a task, in the order of its items; the parts become one file.

    Of several processes the first one waits for the others.
    """
    place = out / f"{name}.jsonl"
    if not place.is_file():
        while missing_chunks(out, name, num_chunks):
            time.sleep(0.2)
        write_jsonl(place, (row for number in range(num_chunks) for row in read_jsonl(_part(out, name, number))))
    shutil.rmtree(out / f".{name}", ignore_errors=True)  # it is there still if a run was killed just here
    return list(read_jsonl(place))


def _part(out: Path, name: str, number: int) -> Path:
    return out / f".{name}" / f"{number:05d}.jsonl"


def _lenders(items: Sequence[Item]) -> list[Item]:
    """For each item the next one of its cell that asks another question; the last ones go on with the first."""
    cells: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        cells.setdefault(item.cell, []).append(number)
    lenders = list(items)
    for members in cells.values():
        for place, number in enumerate(members):
            ahead = (members[(place + step) % len(members)] for step in range(1, len(members)))
            own = items[number].drawn_with
            lenders[number] = next((items[one] for one in ahead if items[one].drawn_with != own), items[number])
    return lenders
