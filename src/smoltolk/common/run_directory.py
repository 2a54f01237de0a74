"""A run directory: steps done once, side by side where they can be, and never taken for whole when they are not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, WorkerError
from smoltolk.common.files import read_json, remove_leftovers, write_json
from smoltolk.common.progress import ProgressFile, Reached, bars_in_turn, console
from smoltolk.common.stopping import Stopped, ask_children, check, end_children, work_for_parent
from smoltolk.common.workers import end_with_parent, num_cpus, start

_WAITS = "  ends when what trains has written a checkpoint; a second signal ends it at once, without"


@dataclass(frozen=True)
class Job:
    """A step that may run in a process of its own.

    Attributes:
        name: names the step and its marker file.
        title: for the progress bar.
        total: what ``report`` counts up to.
        function: importable; called as ``function(*arguments, report)``, returns figures for the record.
        arguments: picklable.
        after: names of jobs that must be done first.
    """

    name: str
    title: str
    total: int
    function: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


class RunDirectory:
    """Where a run keeps its settings, its finished steps and their figures.

    Raises:
        InputError: the directory belongs to a run with other settings, or to something else.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path = path
        record = path / "run.json"
        if record.is_file():
            found = read_json(record)
            different = [name for name in settings if found.get(name) != settings[name]]
            if different:
                raise InputError(
                    "an output directory holds one run",
                    f"{path} was started with " + ", ".join(f"{name} = {found.get(name)!r}" for name in different)
                    + "; now " + ", ".join(f"{name} = {settings[name]!r}" for name in different),
                    "choose another --out, or delete that directory to start anew",
                )  # fmt: skip
        elif path.is_dir() and any(path.iterdir()):
            raise InputError(
                "an output directory is new, empty, or holds the run that is to go on",
                f"{path} holds {sorted(child.name for child in path.iterdir())[:3]} and no run.json",
                "choose another --out",
            )
        else:
            write_json(record, settings)
        for folder in (path, *filter(Path.is_dir, path.rglob("*"))):
            remove_leftovers(folder)

    def done(self, name: str) -> bool:
        """Whether a step was finished."""
        return (self.path / "steps" / f"{name}.json").is_file()

    def figures(self, name: str) -> dict[str, Any]:
        """What a finished step measured."""
        return read_json(self.path / "steps" / f"{name}.json")["figures"]

    def seconds(self) -> dict[str, float]:
        """Wall seconds of each finished step, in the order they ended (side by side steps overlap)."""
        files = sorted((self.path / "steps").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        return {file.stem: read_json(file)["seconds"] for file in files}

    def step(self, name: str, title: str, function: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        """Run a step in this process, unless it is done; return its figures."""
        if self.done(name):
            console.print(f"[dim]· {title}: kept[/dim]", highlight=False)
        else:
            console.print(f"[bold]▸ {title}[/bold]", highlight=False)
            start = time.monotonic()
            figures = function() or {}
            self._finish(name, time.monotonic() - start, figures)
        return self.figures(name)

    def side_by_side(
        self,
        jobs: Sequence[Job],
        *,
        title: str | None = None,
        finished: Callable[[Job], None] | None = None,
        failed: Callable[[Job, BaseException], None] | None = None,
        gpus: Sequence[str] = (),
    ) -> dict[str, dict[str, Any]]:
        """Run steps in processes of their own, as many at a time as there are processors, or GPUs if some are named.

        Each works on one thread, so that its figures do not depend on what runs beside it. Of those that may begin, the
        first of the list does.

        Args:
            jobs: the steps.
            title: of many jobs that are told of together; None: each one's own.
            finished: called with each job that was run, when its figures are kept.
            failed: called with each job that failed and why; the others go on, but for those that come after it. None:
                the first failure ends them all.
            gpus: as ``CUDA_VISIBLE_DEVICES`` names them: each process sees one of them.

        Returns:
            The figures of those that are done.

        Raises:
            WorkerError: a process died. Finished steps are kept.
        """
        waiting = [job for job in jobs if not self.done(job.name)]
        if title is None:
            kept = [job.title for job in jobs if job not in waiting]
            title = " · ".join(job.title for job in waiting)
        else:
            kept = [f"{title}: {len(jobs) - len(waiting)} of {len(jobs)}"] if len(waiting) < len(jobs) else []
        for each in kept:
            console.print(f"[dim]· {each}: kept[/dim]", highlight=False)
        if waiting:
            console.print(f"[bold]▸ {title}[/bold]", highlight=False)
            self._run(waiting, finished, failed, gpus)
        return {job.name: self.figures(job.name) for job in jobs if self.done(job.name)}

    def _run(
        self,
        jobs: Sequence[Job],
        finished: Callable[[Job], None] | None,
        failed: Callable[[Job, BaseException], None] | None,
        gpus: Sequence[str],
    ) -> None:
        files = {job.name: ProgressFile(self.path / "steps" / f".{job.name}.progress") for job in jobs}
        for file in files.values():
            file.path.unlink(missing_ok=True)
        before = set(active_children())
        places: Sequence[str | None] = gpus or [None] * num_cpus()
        lanes = [_Lane(place) for place in places[: len(jobs)]]
        waiting, running = list(jobs), dict[Future[dict[str, Any]], tuple[Job, _Lane]]()
        with ExitStack() as stack:
            for lane in lanes:
                stack.callback(lane.close)
            # Where one step failed nobody waits for the others, which may take hours; they go on next time.
            stack.callback(lambda: end_children(list(set(active_children()) - before)) if waiting or running else None)
            stack.push(partial(_ask, before))
            begin = stack.enter_context(bars_in_turn())
            reached: dict[str, Reached] = {}
            while waiting or running:
                ready = [job for job in waiting if all(map(self.done, job.after))]
                for job in ready[: len(lanes)]:
                    waiting.remove(job)
                    lane = lanes.pop()
                    running[lane.start(job, files[job.name].path)] = job, lane
                    reached[job.name] = Reached(begin(job.title, job.total))
                ended, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                check()
                for job, _ in running.values():
                    reached[job.name](*files[job.name].read())
                for future in ended:
                    job, lane = running.pop(future)
                    lanes.append(lane)
                    error = self._ended(job, lane, future)
                    if error is None:
                        reached[job.name](job.total)
                        if finished is not None:
                            finished(job)
                    elif failed is None:
                        running[future] = job, lane  # whoever still works is ended
                        raise error
                    else:
                        failed(job, error)
                        waiting = _without(waiting, job)
        for file in files.values():
            file.path.unlink(missing_ok=True)

    def _ended(self, job: Job, lane: _Lane, future: Future[dict[str, Any]]) -> BaseException | None:
        """Keep the figures of a job that has ended; or return what it failed of."""
        error = future.exception()
        if error is None:
            self._finish(job.name, future.result()["seconds"], future.result()["figures"])
        if isinstance(error, BrokenProcessPool):
            check(patience=1.0)  # the signal that ended it may be on its way to us
            lane.close()
            return WorkerError(
                "every process must live until its step is done",
                f"the process of {job.title!r} was killed or crashed (often: out of memory)",
                "run the same command again, it continues where it stopped",
            )
        return error

    def _finish(self, name: str, seconds: float, figures: dict[str, Any]) -> None:
        write_json(self.path / "steps" / f"{name}.json", {"seconds": round(seconds, 1), "figures": figures})


def _ask(before: set[BaseProcess], kind: type[BaseException] | None, *_: object) -> None:
    """Where a signal ends it: let workers that train write their checkpoints."""
    if kind is Stopped:
        ask_children(list(set(active_children()) - before), _WAITS)


class _Lane:
    """A process that does one job after the other, in a pool by itself: if it dies, no other one is lost.

    Args:
        gpu: that it sees; None: whatever there is.
    """

    def __init__(self, gpu: str | None):
        self._gpu = gpu
        self._pool: ProcessPoolExecutor | None = None

    def start(self, job: Job, progress: Path) -> Future[dict[str, Any]]:
        """Begin a job."""
        if self._pool is None:
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker, initargs=(self._gpu,))
        return start(self._pool, _work, job, progress)

    def close(self) -> None:
        """End the process; another one does what comes next."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None


def _without(jobs: Sequence[Job], failed: Job) -> list[Job]:
    """Jobs that do not come after one that failed, nor after one that does."""
    lost, left = {failed.name}, list(jobs)
    while after := [job for job in left if not lost.isdisjoint(job.after)]:
        left = [job for job in left if job not in after]
        lost |= {job.name for job in after}
    return left


def _start_worker(gpu: str | None) -> None:
    """One thread, and of several GPUs one, which it must know before torch looks for any."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    import torch

    end_with_parent()
    work_for_parent()
    torch.set_num_threads(1)


def _work(job: Job, progress: Path) -> dict[str, Any]:
    start = time.monotonic()
    try:
        figures = job.function(*job.arguments, ProgressFile(progress).report)
    except Stopped as stopped:
        os._exit(stopped.code)
    return {"seconds": time.monotonic() - start, "figures": figures}
