"""Everything around the steps of a run: one log over its stages, and a folder for what is kept beside the model.

::

    FOLDER/log.jsonl          a line for each thing that was measured
    FOLDER/tensorboard/       events
    FOLDER/best/              the model with the best held-out figure
    FOLDER/milestones/STEP/   models that are kept
    FOLDER/samples/STEP/      what it says
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.processes import is_main
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.data.rows.row_source import RowSource
from smoltolk.inference.speakers import Speaker
from smoltolk.model.ids import IdSpace
from smoltolk.training.loop.held_out import HeldOutRows
from smoltolk.training.loop.keeping import Keeper
from smoltolk.training.loop.log import NAME, RunLog
from smoltolk.training.loop.samples import Samples
from smoltolk.training.loop.settings import Logging
from smoltolk.training.loop.stage_loop import Measure, Measured, StageLoop
from smoltolk.training.loop.watch import repetition_told
from smoltolk.training.loop.writers import Writer, check_writers, open_writers
from smoltolk.training.recipe import Recipe
from smoltolk.training.rows import row_source


@dataclass(frozen=True, kw_only=True)
class RunLoop:
    """Of one run.

    Attributes:
        settings: what is measured, and when.
        folder: see above.
        name: of the run, for trackio and wandb.
        command: all that decides it, for the same.
        tokenizer: saved with models that are kept.
        measures: what is measured beside held-out likelihood.
        speech, text: held-out utterances and running text; None: no likelihood is measured; the utterances' own text.
        speaker: says samples; None: they are not heard.
    """

    settings: Logging
    folder: Path
    name: str
    command: Mapping[str, Any]
    tokenizer: Any = None
    measures: Sequence[Measure] = ()
    speech: AlignedCorpus | None = None
    text: AlignedCorpus | None = None
    speaker: Speaker | None = None

    def __post_init__(self) -> None:
        for text in check_writers(self.settings.written_to):
            tell(text)

    def rows(self, recipe: Recipe, space: IdSpace, seed: int) -> HeldOutRows | None:
        """Held-out rows of every task that some stage trains, the same ones in every stage and for every system.

        Args:
            recipe: tasks and form.
            space: of the model.
            seed: of the run.
        """
        if self.settings.eval_steps is None or self.speech is None:
            return None
        rows: dict[str, RowDataset] = {}
        for task in dict.fromkeys(task for stage in recipe.stages for task in stage.mixture):
            alone = replace(recipe.stages[0], name="held out", mixture={task: 1.0})
            try:
                source = row_source(alone, recipe, space, self.speech, self.text, seed)
            except InputError as error:
                tell(f"{task} is not validated: {error.rule}, {error.found}")
                continue
            (plan,) = source.plans
            most = self.settings.eval_rows if plan is None else min(self.settings.eval_rows, plan.num_rows)
            rows[task] = RowDataset(source, most)
        return HeldOutRows(rows, RowCollator(space), space.speech_offset) if rows else None

    def _measures(self, tasks: Collection[str]) -> list[Measure]:
        if not self.settings.samples or self.speech is None:
            return list(self.measures)
        samples = Samples(
            corpus=self.speech, count=self.settings.samples, tokenizer=self.tokenizer, tasks=tasks, folder=self.folder,
            speaker=self.speaker,
        )  # fmt: skip
        return [*self.measures, samples]

    @contextmanager
    def stage(
        self, name: str, before: int, ids_per_step: int, rows: HeldOutRows | None, epochs: Mapping[str, float]
    ) -> Iterator[StageLoop]:
        """A callback for the Trainer of a stage, which trains while the block runs.

        Args:
            name: of the stage.
            before: steps of the stages before it.
            ids_per_step: of all devices.
            rows: held out; None: nothing is.
            epochs: of each task, how often the stage sees its data.
        """
        log = RunLog(self.folder / NAME)

        def warn(text: str, step: int) -> None:
            tell(text)
            log.append({"step": step, "stage": name, "kind": "note", "text": text})

        def writers(step: int) -> Sequence[Writer]:
            return open_writers(
                self.settings.written_to, self.folder, self.settings.project, self.name, step, self.command
            )

        told = repetition_told(epochs, name)
        if told is not None:
            tell(told)
        keeper = Keeper(self.folder, self.settings.best, self.tokenizer)
        measured = Measured(
            settings=self.settings, log=log, keeper=keeper, writers=writers, rows=rows,
            measures=self._measures(() if rows is None else rows.rows), warn=warn,
            tell=lambda text: tell(text, ""),
        )  # fmt: skip
        loop = StageLoop(name, before, ids_per_step, measured)
        try:
            yield loop
        finally:
            loop.close()


def distinct_name(name: str, folder: Path, command: Mapping[str, Any]) -> str:
    """A name that no other run has, for loggers: they tell runs apart by it.

    Args:
        name: of the model directory.
        folder: of the log.
        command: all that decides the run.
    """
    digest = hashlib.sha256(f"{folder.resolve()}\n{json.dumps(command, default=str)}".encode()).hexdigest()
    return f"{name}-{digest[:6]}"


def epochs_of(source: RowSource, num_rows: int) -> dict[str, float]:
    """How often each task of a mixture sees its data in the first rows; text without end is seen once."""
    weights = [stream.weight for stream in source.streams]
    return {
        str(stream.task): num_rows * weight / sum(weights) / plan.num_rows
        for stream, plan, weight in zip(source.streams, source.plans, weights, strict=True)
        if plan is not None
    }


def tell(text: str, before: str = "note: ") -> None:
    """A line for whoever watches; of several processes the first one prints it."""
    if is_main():
        print(f"  {before}{text}", file=sys.stderr, flush=True)
