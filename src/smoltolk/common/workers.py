"""Work spread over processes: ordered results, and a clear word when a worker dies."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from smoltolk.common import stopping
from smoltolk.common.errors import WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")

_TICK_SECONDS = 0.2
_PATIENCE_SECONDS = 1.0  # a signal that ended a worker may be on its way to us


def num_cpus() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of ``items``, computed by spawned processes.

    Args:
        function: importable (picklable) function of one item.
        items: consumed lazily, a few ahead of the workers.
        workers: number of processes; None means one per processor. 0 runs in this process.
        initializer, initargs: run once in each process (also with ``workers=0``).

    Raises:
        WorkerError: a process died (killed, out of memory, crashed in native code).
        Stopped: a signal asked for the end.
    """
    workers = num_cpus() if workers is None else workers
    if workers == 0:
        if initializer is not None:
            initializer(*initargs)
        for item in items:
            stopping.check()
            yield function(item)
        return
    before = set(multiprocessing.active_children())
    # Spawn, not fork: torch's thread pools and espeak's global state do not survive a fork.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(initializer, initargs),
    )
    pending: deque[Future[Result]] = deque()
    source = iter(items)
    try:
        for item in itertools.islice(source, 2 * workers):
            pending.append(start(pool, function, item))
        while pending:
            result = finished(pending.popleft())
            for item in itertools.islice(source, 1):
                pending.append(start(pool, function, item))
            yield result
    except BrokenProcessPool as error:
        stopping.check(patience=_PATIENCE_SECONDS)
        raise WorkerError(
            "every worker process must live until its work is done",
            "one was killed or crashed (often: out of memory)",
            "run the same command again, it continues where it stopped; fewer workers need less memory",
        ) from error
    except (stopping.Stopped, KeyboardInterrupt):
        stopping.end_children(list(set(multiprocessing.active_children()) - before))
        raise
    finally:
        # What is left running when the process ends prints tracebacks.
        pool.shutdown(wait=True, cancel_futures=True)


def start(pool: ProcessPoolExecutor, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
    """Give work to a pool; processes that it starts for this do not see Ctrl-C."""
    with stopping.interrupts_blocked():
        return pool.submit(function, *arguments)


def finished(future: Future[Result]) -> Result:
    """The result of a future, unless a signal asks for the end before.

    Raises:
        Stopped: it does.
    """
    while not wait([future], timeout=_TICK_SECONDS).done:
        stopping.check()
    return future.result()


def _start(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    """Runs first in every worker."""
    end_with_parent()
    if initializer is not None:
        initializer(*initargs)


def end_with_parent() -> None:
    """Let a worker end when its parent does: one that is killed cannot stop its workers, and they would go on."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
