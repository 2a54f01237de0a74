"""What a task is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.tasks.items import Item
from smoltolk.report.results import DIRECTIONS


@dataclass(frozen=True, slots=True)
class Source:
    """Where a task's files are.

    Attributes:
        data: the folder or file of the task; None: it needs none.
        questions: of a world.
        shards: stored units.
        speaks: whether texts without a recording can be spoken.
        directions: those that are asked for.
        split: ``dev`` or ``test``, where a layout has both.
        tokenizer: of the model's text; for questions of a world, which are cut by tokens.
    """

    data: Path | None = None
    questions: Path | None = None
    shards: Path | None = None
    speaks: bool = False
    directions: tuple[str, ...] = DIRECTIONS
    split: str | None = None
    tokenizer: Any = None

    def folder(self, task: str) -> Path:
        """The folder of the task.

        Raises:
            InputError, NotFoundError: none was named, or there is none.
        """
        if self.data is None:
            raise InputError(f"the task {task} reads files of its own", "no --data", "name the folder: --data DIR")
        if not self.data.exists():
            fix = f"check the path, or name it: --data {task}=DIR"
            raise NotFoundError(f"--data names the folder of {task}", f"no folder {self.data}", fix)
        return self.data


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read.

    Attributes:
        items: in order.
        notes: what a reader of the result should know, e.g. which directions a layout cannot be asked in.
    """

    items: list[Item]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Task:
    """A task of choices.

    Attributes:
        name: on the command line.
        about: one line for people.
        load: reads and checks its layout; raises InputError or NotFoundError before any model is loaded.
        aggregate: how points become figures (:mod:`smoltolk.evaluation.runs.aggregates`).
        chance: accuracy of a model that knows nothing.
        folders: names under which it may lie in a folder of several tasks.
    """

    name: str
    about: str
    load: Callable[[Source], Loaded]
    aggregate: str = "plain"
    chance: float = 0.5
    folders: Sequence[str] = ()
