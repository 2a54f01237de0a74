"""Where a run keeps its checkpoints until its model is whole, and what it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, read_json, remove_leftovers, write_json
from smoltolk.common.made import differences, made_before, record
from smoltolk.common.processes import is_main
from smoltolk.training.loop.log import RECORD
from smoltolk.training.processes import begin_together, wait_for_all
from smoltolk.training.recipe import Recipe

ID_LAYOUT = 2  # which ids a model has: 1: control ids as rows of the text table; 2: behind it, in a table of their own


class Workplace:
    """A model directory, and ``OUT.work`` beside it, of one command.

    Args:
        out: the model directory.
        command: all that decides it, as JSON takes it.
        options, newer: as for :func:`~smoltolk.common.made.differences`.
        on_cpu: several processes meet on the CPU; None: on their GPUs, if there are any.

    Attributes:
        figures: of an earlier run of the same command that is whole, else None.

    Raises:
        InputError: ``out`` holds something else, or what another command made.
    """

    def __init__(
        self,
        out: Path,
        command: dict[str, Any],
        options: Mapping[str, str] = MappingProxyType({}),
        *,
        newer: Collection[str] = (),
        on_cpu: bool | None = None,
    ):
        self.out, self.command, self._on_cpu = out, command, on_cpu
        self._options, self._newer = options, newer
        self.figures = made_before(out, command, options, newer)
        if self.figures is not None and is_main():
            self._clear_away()

    @cached_property
    def work(self) -> Path:
        """The directory of checkpoints, claimed for this command when it is first asked for.

        Raises:
            InputError: another command left it.
        """
        work = self._work
        if is_main():
            self._claim(work)
        begin_together(self._on_cpu)  # where the first process says no, no other has begun
        return work

    @property
    def _work(self) -> Path:
        return self.out.with_name(self.out.name + ".work")

    def _clear_away(self) -> None:
        """Remove what a run left that was killed when its model was in place already."""
        record_path = self._work / "command.json"
        if record_path.is_file() and not differences(read_json(record_path), self.command, self._options, self._newer):
            shutil.rmtree(self._work, ignore_errors=True)  # the run itself may be doing the same

    def _claim(self, work: Path) -> None:
        remove_leftovers(self.out.parent, {self.out.name})
        record_path = work / "command.json"
        if work.is_dir() and any(path != record_path for path in work.iterdir()):
            left = read_json(record_path) if record_path.is_file() else {}
            different = differences(left, self.command, self._options, self._newer)
            if different:
                raise InputError(
                    "an interrupted run goes on with the same command",
                    f"{work} was left by another one: {different}",
                    f"give the same options, or delete {work} to start anew",
                )
        write_json(record_path, self.command)

    def put_in_place(self, figures: dict[str, Any]) -> None:
        """Move ``work/model`` to where it belongs, with its record, and clear away the checkpoints."""
        wait_for_all()  # others may still read what is cleared away
        if is_main():
            with atomic_directory(self.out) as temporary:
                shutil.copytree(self.work / "model", temporary, dirs_exist_ok=True)
                if (self.work / RECORD).is_dir():
                    leftovers = shutil.ignore_patterns(".tmp-*")
                    shutil.copytree(self.work / RECORD, temporary, dirs_exist_ok=True, ignore=leftovers)
                record(temporary, self.command, figures)
            shutil.rmtree(self.work, ignore_errors=True)  # the next run of this command clears away the rest
        wait_for_all()


def plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON would give it back, its stages by name: what a message about it can point at.

    Settings that came later are left out where they change nothing, so that older records stay true.
    """
    fields = asdict(recipe)
    stages = {stage.pop("name"): stage for stage in fields.pop("stages")}
    for stage in stages.values():
        if not stage["factors"]:
            del stage["factors"]
    if fields["layer_decay"] == 1:
        del fields["layer_decay"]
    return json.loads(json.dumps(stages | fields))
