"""Ctrl-C and SIGTERM in a training: it ends at the end of a step, with a checkpoint of it."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from smoltolk.common.stopping import Stopped, asked, say_kept
from smoltolk.training.processes import Agreement


class StopsWithCheckpoint(TrainerCallback):
    """Comes last of the callbacks of a Trainer, so that all is done that belongs to the step.

    Whichever process a signal came to, all of them end at the same step, for each writes a part of the checkpoint.

    Args:
        stage: how what trains is named.
    """

    def __init__(self, stage: str):
        self._stage, self._asked = stage, 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Before the first step there is nothing to keep."""
        self._agreement = Agreement(args.device)
        number = self._agreement.at_once(asked())
        if number:
            raise Stopped(number)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a checkpoint."""
        self._asked = self._agreement.lately(asked())
        if self._asked:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The checkpoint is whole."""
        if self._asked:
            say_kept(state.global_step, state.max_steps, self._stage)
            raise Stopped(self._asked)
