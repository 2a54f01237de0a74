"""What ``smoltolk evaluate`` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smoltolk.common.errors import InputError, named
from smoltolk.evaluation.quality import TIMEOUT
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.evaluation.tasks.said_texts import FOLDERS, SAID_TEXTS
from smoltolk.evaluation.tasks.spoken_answers import ANSWERS
from smoltolk.evaluation.tasks.task import Source
from smoltolk.evaluation.tasks.text_retention import PREFIX
from smoltolk.report.results import DIRECTIONS

_FOLDERS = {
    folder
    for folders in (
        *(task.folders for task in TASKS.values()), *(task.folders for task in ANSWERS.values()), *FOLDERS.values()
    )
    for folder in folders
}  # fmt: skip
OFFLINE = "pocketsphinx"  # the judge who needs no download
ALL = (*TASKS, *ANSWERS, *SAID_TEXTS, f"{PREFIX}NAME")
KEYS = (*TASKS, *ANSWERS, *SAID_TEXTS, PREFIX.rstrip("/"))  # of Request.data


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured.

    Attributes:
        model: directory or hub id.
        tasks: their names.
        out: the run directory.
        data: folders of tasks, by name; under ``""`` the folder that they all lie in.
        units: of the model, which recordings become; ``shards``: stored ones instead.
        questions: of a world.
        rules: by name, the first one decides what is fed; none: ``ours``.
        limit, seed, directions, split: what is asked of each task.
        synthesizer: speaks texts that have no recording.
        before: the text model, measured beside ours by the tasks ``text/NAME``.
        bf16: compute in bfloat16 where autocast allows it.
        keep_prompts: score prompts too.
        batch_tokens: most ids of a batch.
        vocoder: speaks in ``synthesis``; None: the codec among the units.
        judge, judge_texts: who listens, and for pocketsphinx a file of what may be said; None: the texts spoken.
        temperature: of sampling in ``synthesis``; 0: the likeliest unit at every step.
        quality, quality_timeout: a command that measures what was spoken, and its seconds; None: none.
    """

    model: str
    tasks: Sequence[str]
    out: Path
    data: dict[str, Path]
    units: Path | None = None
    shards: Path | None = None
    questions: Path | None = None
    rules: Sequence[str] = ()
    limit: int | None = None
    seed: int = 0
    directions: tuple[str, ...] = DIRECTIONS
    split: str | None = None
    synthesizer: str | None = None
    before: str | None = None
    bf16: bool = False
    keep_prompts: bool = True
    batch_tokens: int = 4096
    vocoder: Path | None = None
    judge: str = OFFLINE
    judge_texts: Path | None = None
    temperature: float = 0.0
    quality: str | None = None
    quality_timeout: float = TIMEOUT


def check_names(names: Sequence[str]) -> None:
    """Whether all are tasks.

    Raises:
        InputError: none, or one that is no task.
    """
    for name in names:
        if name in (*TASKS, *ANSWERS, *SAID_TEXTS) or name.startswith(PREFIX):
            continue
        if Path(name).exists():  # the form of before: evaluate MODEL QUESTIONS SHARDS
            raise InputError(
                "the questions of a world are asked as `evaluate MODEL world --questions Q --shards S --out RUN`",
                f"{name!r} among the tasks, which is a place",
                "name the task, and the places behind --questions and --shards",
            )
        named("a task", name, dict.fromkeys(ALL), "choose some of them")
    if not names:
        raise InputError("an evaluation has a task at least", "none", f"choose from {', '.join(ALL)}")


def _place(request: Request, name: str, folders: Sequence[str]) -> Path | None:
    if name in request.data:
        return request.data[name]
    root = request.data.get("")
    if root is None:
        return None
    inside = [root / folder for folder in folders if (root / folder).exists()]
    # The folder itself may be the task's, but not if others lie in it: their files are not to be taken for its own.
    alone = not any((root / folder).exists() for folder in _FOLDERS)
    return inside[0] if inside else root if alone or not folders else root / folders[0]


def source_of(request: Request, name: str, folders: Sequence[str]) -> Source:
    """Where a task's files are.

    Args:
        request: what is asked for.
        name: of the task.
        folders: names that it may have in a folder of several tasks.
    """
    return Source(
        _place(request, name, folders),
        request.questions,
        request.shards,
        request.synthesizer is not None,
        request.directions,
        request.split,
    )
