"""Everything around the steps of a run: one log over its stages, and a folder for what is kept beside the model.

::

    FOLDER/log.jsonl          a line for each thing that was measured
    FOLDER/tensorboard/       events
    FOLDER/best/              the model with the best held-out figure
    FOLDER/milestones/STEP/   models that are kept
    FOLDER/samples/STEP/      what it says
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.processes import is_main
from smoltolk.training.loop.held_out import HeldOutRows
from smoltolk.training.loop.keeping import Keeper
from smoltolk.training.loop.log import NAME, RunLog
from smoltolk.training.loop.settings import Logging
from smoltolk.training.loop.stage_loop import Measure, Measured, StageLoop
from smoltolk.training.loop.watch import repetition_told
from smoltolk.training.loop.writers import Writer, check_writers, open_writers


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
    """

    settings: Logging
    folder: Path
    name: str
    command: Mapping[str, Any]
    tokenizer: Any = None
    measures: Sequence[Measure] = ()

    def __post_init__(self) -> None:
        for text in check_writers(self.settings.written_to):
            tell(text)

    @contextmanager
    def stage(
        self,
        name: str,
        before: int,
        ids_per_step: int,
        rows: HeldOutRows | None = None,
        epochs: Mapping[str, float] | None = None,
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

        told = repetition_told(epochs or {}, name)
        if told is not None:
            tell(told)
        keeper = Keeper(self.folder, self.settings.best, self.tokenizer)
        measured = Measured(
            settings=self.settings, log=log, keeper=keeper, writers=writers, rows=rows, measures=self.measures, warn=warn
        )
        loop = StageLoop(name, before, ids_per_step, measured)
        try:
            yield loop
        finally:
            loop.close()


def tell(text: str) -> None:
    """A line for whoever watches; of several processes the first one prints it."""
    if is_main():
        print(f"  note: {text}", file=sys.stderr, flush=True)
