"""Where a run keeps its checkpoints until its model is whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.common.made import differences, record
from smoltolk.training.recipe import Recipe
from smoltolk.training.trainer import is_main, num_processes

_IDS_AT_ONCE = 16_384


def plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON would give it back, its stages by name: what a message about it can point at."""
    fields = asdict(recipe)
    stages = {stage.pop("name"): stage for stage in fields.pop("stages")}
    return json.loads(json.dumps(stages | fields))


def check_device_rows(device_rows: int | None) -> None:
    """Raise InputError unless it is None or 1 and more."""
    if device_rows is not None and device_rows < 1:
        raise InputError("a forward pass needs a row", f"{device_rows}", "give 1 or more")


def rows_that_fit(recipe: Recipe) -> int:
    """Rows of one forward pass: as many as have 16,384 ids together and share out the rows of a step evenly."""
    share = max(1, recipe.rows_per_step // num_processes())
    most = max(1, _IDS_AT_ONCE // recipe.row_length)
    return max(rows for rows in range(1, min(most, share) + 1) if share % rows == 0)


def claim_work(out: Path, command: dict[str, Any], options: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Where checkpoints of a run lie: ``OUT.work``.

    Args:
        out: what the run will make.
        command: all that decides it, as JSON takes it.
        options: as for :func:`~smoltolk.common.made.differences`.

    Raises:
        InputError: another command left it.
    """
    work = out.with_name(out.name + ".work")
    record_path = work / "command.json"
    begun = work.is_dir() and any(path != record_path for path in work.iterdir())
    if begun:
        left = read_json(record_path) if record_path.is_file() else {}
        different = differences(left, command, options)
        if different:
            raise InputError(
                "an interrupted run goes on with the same command",
                f"{work} was left by another one: {different}",
                f"give the same options, or delete {work} to start anew",
            )
    if is_main():
        write_json(record_path, command)
    return work


def put_in_place(work: Path, out: Path, command: dict[str, Any], figures: dict[str, Any]) -> None:
    """Move ``work/model`` to where it belongs, with its record, and clear away the checkpoints."""
    if is_main():
        with atomic_directory(out) as temporary:
            shutil.copytree(work / "model", temporary, dirs_exist_ok=True)
            record(temporary, command, figures)
        shutil.rmtree(work)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
