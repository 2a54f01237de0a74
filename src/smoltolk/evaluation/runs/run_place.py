"""Where a run lies, and whether it is that of a command: told before anything large is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.common.made import differences, digest_of_file
from smoltolk.common.processes import is_main, num_processes

RUN = "run.json"
SOUNDS = "said"


def check_run_place(out: Path, model: str, tasks: Sequence[str]) -> None:
    """Refuse a place that holds another run, as far as that can be seen without the model.

    ``open_run`` sees all.

    Args:
        out: of the run.
        model, tasks: that are asked for.

    Raises:
        InputError: it holds the run of another model or of other tasks, or something else.
    """
    if not (out / RUN).is_file():
        if is_main():
            check_free(out)
        return
    held = read_json(out / RUN)
    if held.get("command", {}).get("verb") != "evaluate":
        found = f"{out / RUN} is of another kind"
        raise InputError("a run directory holds an evaluation", found, "choose another place")
    command: dict[str, Any] = {"tasks": list(tasks)}
    if held["model"]["name"] != model:  # the same one may have another name
        command["model"] = fingerprint_of_model(Path(model))
    check_tasks(out, held["command"], command)
    different = differences({name: held["command"][name] for name in command}, command)
    if different:
        raise another_run(out, different)


def check_tasks(out: Path, held: dict[str, Any], command: dict[str, Any]) -> None:
    """Refuse other tasks, by their names alone: all else that differs with them follows from it.

    Args:
        out: of the run.
        held, command: what it holds and what is asked for, each with its ``tasks``.

    Raises:
        InputError: they are others, or in another order.
    """
    before, now = (" ".join(one["tasks"]) for one in (held, command))
    if before != now:
        raise InputError(
            "a run directory holds one run",
            f"{out} holds another one: the tasks were {before}, are {now}",
            "name all tasks in one command, or another --out",
        )


def another_run(out: Path, different: str) -> InputError:
    """The error of a place that holds another run."""
    return InputError(
        "a run directory holds one run",
        f"{out} holds another one: {different}",
        "give the same options, choose another place, or delete that directory",
    )


def check_free(out: Path) -> None:
    """Refuse a place that holds something that is no run.

    Raises:
        InputError: it does.
    """
    if out.exists() and (not out.is_dir() or any(map(_is_strange, out.iterdir()))):
        raise InputError("a run directory is new or empty", f"{out} holds something else", "choose another place")


def _is_strange(path: Path) -> bool:
    """Whether it is nothing that a run begins with; other processes may have begun before the first one."""
    begun = num_processes() > 1 and (path.name.startswith(".") or path.name == SOUNDS)
    return path.name != RUN and not begun


def fingerprint_of_model(directory: Path) -> str:
    """Hex digest of a model's configuration and weights.

    Args:
        directory: of the model; of a name on the hub it is the name.
    """
    files = [*sorted(directory.glob("*.safetensors")), directory / "config.json"] if directory.is_dir() else []
    digests = [f"{path.name} {digest_of_file(path)}" for path in files if path.is_file()]
    return digest_of_texts(digests) if digests else str(directory)


def digest_of_texts(texts: Sequence[str]) -> str:
    """Hex digest of some lines."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]
