"""Preferences: from a model and pairs of answers to a model that likes the better ones (DPO by TRL)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from smoltolk.common.devices import best_device
from smoltolk.common.errors import require
from smoltolk.common.files import read_json, write_json
from smoltolk.common.processes import is_main
from smoltolk.common.seeds import generator
from smoltolk.model.text_models.attention import quick_attention
from smoltolk.training.optimization import set_trainable
from smoltolk.training.stages import StageLog
from smoltolk.training.trainer import Report
from smoltolk.training.tuning.encoding import Encoded
from smoltolk.training.tuning.jobs import DialogueJob
from smoltolk.training.tuning.preference_scores import preference_accuracy
from smoltolk.training.tuning.preferring import preferring_trainer, take_off
from smoltolk.training.tuning.settings import Preference
from smoltolk.training.tuning.starting import Start
from smoltolk.training.tuning.turn_rows import PairRows

_EPOCHS = 2.0
_PAIRS_PER_STEP = 16


class PreferJob(DialogueJob):
    """Trains on preferences; see :class:`~smoltolk.training.tuning.jobs.DialogueJob`.

    Args:
        args, kwargs: as there.
        preference: what is optimised.

    Raises:
        MissingExtraError: TRL is not installed.
    """

    VERB = "prefer"
    PREFERENCES = True

    def __init__(self, *args: Any, preference: Preference | None = None, **kwargs: Any):
        self.preference = preference or Preference()
        require("trl", "learning from preferences")
        super().__init__(*args, **kwargs)

    def more_of_command(self) -> dict[str, Any]:
        """What is optimised."""
        return {"preference": asdict(self.preference)}

    @property
    def rows_per_step(self) -> int:
        """Pairs of an optimizer step."""
        return self.amount.rows_per_step or _PAIRS_PER_STEP

    @property
    def learning_rate(self) -> float:
        """Small models learn at higher rates, and so do the matrices of a LoRA."""
        full = 3e-5 if self.is_small else 1e-6
        return self.amount.learning_rate or (full if self.lora is None else full * 10)

    @property
    def num_steps(self) -> int:
        """Optimizer steps."""
        if self.amount.steps is not None:
            return self.amount.steps
        return max(1, math.ceil((self.amount.epochs or _EPOCHS) * len(self.parts()[0]) / self.rows_per_step))

    def parts(self) -> tuple[list[Encoded], list[Encoded]]:
        """Pairs to learn from, and those that are held out: which ones, the seed says."""
        encoded = self.open()
        number = round(self.preference.hold_out * len(encoded))
        number = min(max(number, 1), len(encoded) - 1) if self.preference.hold_out else 0
        out = set(generator(self.seed, "hold out").permutation(len(encoded))[:number].tolist())
        return [one for k, one in enumerate(encoded) if k not in out], [encoded[k] for k in sorted(out)]

    @property
    def ids_per_step(self) -> int:
        """Ids of an optimizer step: those of both answers, and twice those of the questions."""
        sizes = [len(one.chosen) + len(one.rejected or ()) for one in self.parts()[0]]
        return round(self.rows_per_step * sum(sizes) / len(sizes))

    def train(
        self, start: Start, work: Path, report: Report | None, callbacks: Sequence[TrainerCallback]
    ) -> tuple[StageLog, dict[str, Any]]:
        """DPO, and the held-out pairs before and after."""
        learned, held_out = self.parts()
        start.model.to(best_device())  # where it will train: pairs are asked about there too
        before = _asked_once(work / "before.json", start.model, held_out)
        recipe = self.recipe()
        set_trainable(start.model, recipe.stages[0])
        rows = PairRows(learned, seed=self.seed, num_rows=recipe.num_steps * recipe.rows_per_step)
        with quick_attention(start.model), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TRL uses older names of transformers
            trainer = preferring_trainer(
                start, recipe, self.preference, rows, max(map(len, self.open())), self.tokenizer, work,
                seed=self.seed, report=report, callbacks=callbacks,
            )  # fmt: skip
            trainer.resume(work)
        seconds = trainer.seconds
        log = StageLog([entry for entry in trainer.state.log_history if "loss" in entry], seconds)
        del trainer
        take_off(start)
        after = preference_accuracy(start.model, held_out)
        return log, {"held_out": len(held_out), "before": before, "after": after}


def _asked_once(path: Path, model: Any, pairs: Sequence[Encoded]) -> dict[str, float]:
    """What is known of held-out pairs before training, kept for a run that is gone on with."""
    if not path.is_file():
        found = preference_accuracy(model, pairs)
        if is_main():
            write_json(path, found)
        return found
    return read_json(path)
