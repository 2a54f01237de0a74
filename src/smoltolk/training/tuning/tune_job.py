"""Instruction tuning: from a model and dialogues to a model that answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from smoltolk.data.rows.loader import RowCollator
from smoltolk.training.stages import StageLog, run_stage
from smoltolk.training.trainer import Report
from smoltolk.training.tuning.jobs import DialogueJob
from smoltolk.training.tuning.starting import Start
from smoltolk.training.tuning.turn_rows import TurnRows

_EPOCHS = 3.0
_ROWS_PER_STEP = 8


class TuneJob(DialogueJob):
    """Trains on the answers of dialogues; see :class:`~smoltolk.training.tuning.jobs.DialogueJob`."""

    VERB = "tune"

    @property
    def row_length(self) -> int:
        """Ids of a row; small models are tuned on short ones."""
        return self.amount.row_length or min(512 if self.is_small else 2048, super().row_length)

    @property
    def rows_per_step(self) -> int:
        """Rows of an optimizer step."""
        return self.amount.rows_per_step or _ROWS_PER_STEP

    @property
    def learning_rate(self) -> float:
        """Of a LoRA five or ten times that of weights, which have more to lose."""
        full = 1e-3 if self.is_small else 2e-5
        return self.amount.learning_rate or (full if self.lora is None else full * (5 if self.is_small else 10))

    @property
    def num_steps(self) -> int:
        """Optimizer steps."""
        if self.amount.steps is not None:
            return self.amount.steps
        return max(1, math.ceil((self.amount.epochs or _EPOCHS) * self._rows(None).num_in_epoch / self.rows_per_step))

    @property
    def ids_per_step(self) -> int:
        """Ids of an optimizer step, padding included."""
        return self.rows_per_step * self.row_length

    def rows(self) -> TurnRows:
        """All rows of the training."""
        return self._rows(self.num_steps * self.rows_per_step)

    def _rows(self, number: int | None) -> TurnRows:
        space = self.config.id_space
        return TurnRows(self.open(), space, row_length=self.row_length, seed=self.seed, num_rows=number)

    def train(
        self, start: Start, work: Path, report: Report | None, callbacks: Sequence[TrainerCallback]
    ) -> tuple[StageLog, dict[str, Any]]:
        """One stage."""
        recipe, rows = self.recipe(), self.rows()
        collate = RowCollator(start.config.id_space)
        log = run_stage(
            start.model, recipe, recipe.stages[0], rows, collate, work,
            seed=self.seed, report=report, callbacks=callbacks,
        )  # fmt: skip
        return log, {"rows_in_epoch": rows.num_in_epoch}
