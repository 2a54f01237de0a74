"""Progress bars on long work: live on a terminal, a plain line now and then elsewhere.

A bar lives in the process that shows it. Work in other processes reports through its return values or through a
:class:`ProgressFile`, so no queue has to outlive a killed worker. Between two steps of a bar a command can be stopped.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from smoltolk.common import stopping
from smoltolk.common.quantities import duration

console = Console(stderr=True)
_LINE_EVERY_SECONDS = 10.0
_FEWEST_MARKS, _FEWEST_SECONDS = 5, 3.0  # behind the first report, before an estimate means something
_SEEN_SECONDS, _MARK_EVERY_SECONDS = 120.0, 0.1


class Pace:
    """How fast work goes, and so how long the rest takes.

    What comes before the first report is left out: it starts things up, and what is gone on with has done much by
    then. Until there are a few more reports nothing is told. Then the last two minutes count, or where reports are rare
    the last few of them, for work changes its pace.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()

    def reached(self, done: float) -> None:
        """So much is done in all, now."""
        now = time.monotonic()
        if len(self._marks) > 1 and now - self._marks[-2][0] < _MARK_EVERY_SECONDS:
            self._marks.pop()
        self._marks.append((now, done))
        while len(self._marks) > _FEWEST_MARKS + 1 and now - self._marks[0][0] > _SEEN_SECONDS:
            self._marks.popleft()

    def seconds_left(self, total: float) -> float | None:
        """Until ``total`` is done; None where that cannot be told yet."""
        if len(self._marks) <= _FEWEST_MARKS:
            return None
        (begun, before), (now, done) = self._marks[0], self._marks[-1]
        if now - begun < _FEWEST_SECONDS or done <= before:
            return None
        left = (now - begun) / (done - before) * (total - done)
        return max(0.0, left - (time.monotonic() - now))


class Bar(Protocol):
    """What work tells of itself."""

    def advance(self, count: float = 1) -> None:
        """``count`` more units of work are done."""

    def note(self, text: str) -> None:
        """Show a short text (a loss, a rate) behind the bar."""


class _TimeLeft(ProgressColumn):
    """Of a task with a ``pace``."""

    max_refresh = 0.5  # seconds: a number that flickers is not read

    def render(self, task: Task) -> Text:
        left = None if task.total is None else task.fields["pace"].seconds_left(task.total)
        return Text("" if left is None or task.finished else f"{_whole(left)} left", "progress.remaining")


class _LiveBar:
    def __init__(self, progress: Progress, description: str, total: float):
        self._progress, self._pace, self._reached = progress, Pace(), 0.0
        self._id = progress.add_task(description, total=total, note="", pace=self._pace)

    def advance(self, count: float = 1) -> None:
        stopping.check()
        self._reached += count
        self._pace.reached(self._reached)
        self._progress.update(self._id, advance=count)

    def note(self, text: str) -> None:
        self._progress.update(self._id, note=text)


class _LeavingBar(_LiveBar):
    """Makes room for the next one when it is full."""

    def __init__(self, progress: Progress, description: str, total: float):
        super().__init__(progress, description, total)
        self._description, self._total, self._done = description, total, 0.0
        self._start = time.monotonic()

    def advance(self, count: float = 1) -> None:
        if self._done >= self._total:
            return
        super().advance(count)
        self._done += count
        if self._done >= self._total:
            self._progress.remove_task(self._id)
            told = f"  {self._description}: done in {_whole(time.monotonic() - self._start)}"
            self._progress.console.print(told, highlight=False)

    def note(self, text: str) -> None:
        if self._done < self._total:
            super().note(text)


class _LineBar:
    def __init__(self, description: str, total: float, unit: str):
        self._description, self._total, self._unit = description, total, unit
        self._done, self._note, self._pace = 0.0, "", Pace()
        self._start = self._shown = time.monotonic()
        self._finished = False

    def advance(self, count: float = 1) -> None:
        stopping.check()
        self._done += count
        self._pace.reached(self._done)
        if self._done >= self._total:
            self.finish()
        elif time.monotonic() - self._shown >= _LINE_EVERY_SECONDS:
            self.show()

    def finish(self) -> None:
        """The last line, once: when all is done, or when the block is left."""
        if not self._finished:
            self._finished = True
            self.show()

    def note(self, text: str) -> None:
        self._note = text

    def show(self) -> None:
        self._shown = time.monotonic()
        told = f" in {_whole(self._shown - self._start)}"
        if not self._finished:
            left = self._pace.seconds_left(self._total)
            told = told if left is None else f", {_whole(left)} left"
        unit = f" {self._unit}" if self._unit else ""
        line = f"  {self._description}: {self._done:.0f}/{self._total:.0f}{unit}{told}"
        print(f"{line}  {self._note}".rstrip(), file=sys.stderr, flush=True)


def _whole(seconds: float) -> str:
    """A time as a bar shows it."""
    return duration(round(seconds), digits=0)


@contextmanager
def bars(works: Mapping[str, tuple[str, float]], unit: str = "") -> Iterator[dict[str, Bar]]:
    """Show the progress of several works side by side while the block runs.

    On a terminal live bars with elapsed and remaining time; elsewhere (logs, CI) one line every ten seconds and one
    at the end.

    Args:
        works: key -> (description, total).
        unit: what is counted.
    """
    if console.is_terminal:
        with _live(unit) as live:
            yield {key: _LiveBar(live, description, total) for key, (description, total) in works.items()}
    else:
        lines = {key: _LineBar(description, total, unit) for key, (description, total) in works.items()}
        try:
            yield dict(lines)
        finally:
            for line in lines.values():
                line.finish()


@contextmanager
def bars_in_turn(unit: str = "") -> Iterator[Callable[[str, float], Bar]]:
    """Show works that begin while the block runs: of many, only those that are under way have a bar.

    Yields ``begin(description, total)``, which makes a bar. On a terminal a full one leaves a line behind.

    Args:
        unit: what is counted.
    """
    if console.is_terminal:
        with _live(unit) as live:
            yield lambda description, total: _LeavingBar(live, description, total)
    else:
        lines: list[_LineBar] = []

        def begin(description: str, total: float) -> Bar:
            lines.append(_LineBar(description, total, unit))
            return lines[-1]

        try:
            yield begin
        finally:
            for line in lines:
                line.finish()


def _live(unit: str) -> Progress:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        _TimeLeft(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=console)


@contextmanager
def under_way(description: str) -> Iterator[None]:
    """Say on a terminal what is done while the block runs, where it cannot be counted; elsewhere nothing."""
    if not (console.is_terminal and sys.stderr.isatty()):
        yield
        return
    if console.is_dumb_terminal:  # where nothing moves
        print(description, file=sys.stderr, flush=True)
        yield
        return
    with console.status(escape(description), spinner="line"):
        yield


@contextmanager
def bar(description: str, total: float, unit: str = "") -> Iterator[Bar]:
    """Show progress of ``total`` units of work while the block runs; see :func:`bars`."""
    with bars({"": (description, total)}, unit) as shown:
        yield shown[""]


class ProgressFile:
    """A number and a text in a small file: how a worker process tells its parent where it is."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self._written = 0.0

    def report(self, done: float, text: str = "") -> None:
        """Write at most four times a second; a torn or missing report only delays the bar."""
        if time.monotonic() - self._written < 0.25:
            return
        self._written = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(f"{done} {text}", encoding="utf-8")

    def read(self) -> tuple[float, str]:
        """``(done, text)`` of the last report, ``(0, "")`` if there is none."""
        try:
            done, _, text = self.path.read_text(encoding="utf-8").partition(" ")
            return float(done), text
        except (FileNotFoundError, ValueError):
            return 0.0, ""


class Reached:
    """Tells a bar how far work has come, from reports of what is done in all; the other way round: :class:`ReportBar`.

    Args:
        bar: advanced by what is new.
    """

    def __init__(self, bar: Bar):
        self._bar, self._done = bar, 0.0

    def __call__(self, done: float, text: str | None = None) -> None:
        """``done`` units of work are done in all; fewer than before change nothing.

        Args:
            done: since the work began.
            text: shown behind the bar; None leaves what is there.
        """
        if done > self._done:
            if text is not None:
                self._bar.note(text)
            self._bar.advance(done - self._done)
            self._done = done


class ReportBar:
    """A bar for work in another process: counts up and hands the total to a report function.

    Args:
        report: called with (done, text), e.g. ``ProgressFile.report``.
        before: what was done before this work began.
    """

    def __init__(self, report: Callable[[float, str], None], before: float = 0.0):
        self._report, self._done, self._text = report, before, ""

    def advance(self, count: float = 1) -> None:
        """``count`` more units of work are done."""
        self._done += count
        self._report(self._done, self._text)

    def note(self, text: str) -> None:
        """Show a short text with the next advance."""
        self._text = text
