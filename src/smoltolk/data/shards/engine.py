"""Where work runs: processes of this machine, or the actors of Ray Data on a cluster.

Ray moves no data here: a job names files that every machine of the cluster can open, and its answer is a few numbers.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, TypeVar

from smoltolk.common.errors import InputError, SmolTolkError, WorkerError, require
from smoltolk.common.workers import num_cpus, parallel_map

Item = TypeVar("Item")
Result = TypeVar("Result")
_LIVES = 2  # of a Ray worker beyond its first, and of an item


class Engine(StrEnum):
    """What runs the workers."""

    PROCESSES = "processes"
    RAY = "ray"


def engine_named(name: str) -> Engine:
    """The engine of this name.

    Raises:
        InputError: there is none.
    """
    if name not in set(Engine):
        raise InputError(f"an engine is {' or '.join(Engine)}", repr(name), "choose one of them")
    return Engine(name)


def spread(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    engine: Engine = Engine.PROCESSES,
    workers: int | None = None,
    initializer: Callable[..., None],
    initargs: tuple[Any, ...] = (),
    gpu: bool = False,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of ``items``.

    Args:
        function: importable function of one item.
        items: jobs.
        engine: ``ray`` joins the cluster that the environment variable ``RAY_ADDRESS`` names, or starts one on this
            machine for as long as the work lasts.
        workers: how many; None: one per processor (with ``ray`` and ``gpu``: one per GPU of the cluster). 0: this
            process, without Ray.
        initializer, initargs: run once in each worker.
        gpu: a Ray worker gets a GPU of its own.

    Raises:
        WorkerError: a worker died.
        MissingExtraError: Ray is not installed.
    """
    if engine is Engine.RAY and workers != 0:
        return _ray_map(function, items, workers, initializer, initargs, gpu)
    return parallel_map(function, items, workers=workers, initializer=initializer, initargs=initargs)


class _Actor:
    """Lives in a Ray worker; items and results travel as bytes, because Ray Data makes columns of all else."""

    def __init__(self, function: Callable[[Any], Any], initializer: Callable[..., None], initargs: tuple[Any, ...]):
        self._function = function
        initializer(*initargs)

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return {"result": pickle.dumps(self._function(pickle.loads(row["item"])))}  # noqa: S301 - of this program


def _ray_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None,
    initializer: Callable[..., None],
    initargs: tuple[Any, ...],
    gpu: bool,
) -> Iterator[Result]:
    ray = require("ray", "the engine 'ray'")
    data = importlib.import_module("ray.data")
    joined = ray.is_initialized()
    if not joined:
        # Ray would start as many idle workers as there are processors; a cluster that exists has its own number.
        local = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers or num_cpus(), "include_dashboard": False}
        if local:  # it would warn, of every worker that may come back, that it might not
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        ray.init(log_to_driver=False, logging_level="ERROR", **local)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is raised, and there is one bar already
    settings = data.DataContext.get_current()
    settings.enable_progress_bars = False
    settings.execution_options.preserve_order = True
    settings.raise_original_map_exception = True
    try:
        resources = ray.cluster_resources()
        rows = [{"item": pickle.dumps(item)} for item in items]
        results = data.from_items(rows, override_num_blocks=len(rows)).map(
            _Actor,
            fn_constructor_args=(function, initializer, initargs),
            compute=data.ActorPoolStrategy(size=workers or max(1, int(resources.get("GPU" if gpu else "CPU", 1)))),
            num_cpus=1,
            num_gpus=1 if gpu else 0,
            # A machine may go away: its items are done again elsewhere. What kills every worker that meets it is told.
            ray_remote_args_fn=lambda: {"max_restarts": _LIVES, "max_task_retries": _LIVES},
        )
        for row in results.iter_rows():
            yield pickle.loads(row["result"])  # noqa: S301 - of this program's own workers
    except ray.exceptions.RayActorError as error:
        # An error of the initializer arrives as a death of the actor, with its words in the message.
        raise WorkerError(
            "every Ray worker must live until its work is done",
            str(error).strip().splitlines()[-1],
            "run the same command again, it continues where it stopped",
        ) from error
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (SmolTolkError, OSError)):
            raise error.cause from error
        raise
    finally:
        if not joined:
            ray.shutdown()
