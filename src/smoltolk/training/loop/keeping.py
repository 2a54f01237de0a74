"""Models that are kept beside the last one: the best by a held-out figure, and milestones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from smoltolk.common.files import atomic_directory, write_json
from smoltolk.common.processes import is_main
from smoltolk.training.processes import wait_for_all
from smoltolk.training.sharding import is_sharded, whole_state


class Keeper:
    """Writes model directories that appear whole or not at all.

    Args:
        folder: of the run: ``best`` and ``milestones/STEP`` lie in it.
        figure: that chooses the best, lower is better.
        tokenizer: saved with each; None: none.
    """

    def __init__(self, folder: Path, figure: str, tokenizer: Any = None):
        self._folder, self._figure, self._tokenizer = folder, figure, tokenizer
        self._best: float | None = None

    def continue_from(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take up what a log tells of the figure so far; milestones of later steps are made again.

        Args:
            entries: lines up to the last step that was trained.
        """
        found = [entry.get(self._figure) for entry in entries if entry.get("kind") == "held_out"]
        self._best = min((value for value in found if value is not None), default=None)

    def is_best(self, figures: Mapping[str, Any]) -> bool:
        """Whether no validation before was as good, and what was measured has the figure at all."""
        value = figures.get(self._figure)
        if value is None or (self._best is not None and not value < self._best):
            return False
        self._best = value
        return True

    def keep_best(self, model: PreTrainedModel, entry: Mapping[str, Any]) -> None:
        """Write ``best``; every process calls it.

        Args:
            model: as it is.
            entry: its line of the log.
        """
        self._write(model, self._folder / "best", entry)

    def keep_milestone(self, model: PreTrainedModel, entry: Mapping[str, Any]) -> None:
        """Write ``milestones/STEP``; every process calls it."""
        self._write(model, self._folder / "milestones" / f"{entry['step']:06d}", entry)

    def _write(self, model: PreTrainedModel, folder: Path, entry: Mapping[str, Any]) -> None:
        weights = whole_state(model) if is_sharded(model) else None
        if is_main():
            with atomic_directory(folder) as temporary:
                model.save_pretrained(temporary, state_dict=weights)
                if self._tokenizer is not None:
                    self._tokenizer.save_pretrained(temporary)
                write_json(temporary / "kept.json", dict(entry))
        wait_for_all()
