"""Where a run keeps its checkpoints until its model is whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.common.made import record
from smoltolk.training.recipe import Recipe
from smoltolk.training.trainer import is_main


def plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON would give it back."""
    return json.loads(json.dumps(asdict(recipe)))


def claim_work(out: Path, command: dict[str, Any]) -> Path:
    """Where checkpoints of a run lie: ``OUT.work``.

    Args:
        out: what the run will make.
        command: all that decides it, as JSON takes it.

    Raises:
        InputError: another command left it.
    """
    work = out.with_name(out.name + ".work")
    record_path = work / "command.json"
    if record_path.is_file() and read_json(record_path) != command:
        raise InputError(
            "an interrupted run goes on with the same command",
            f"{work} was left by another one",
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
