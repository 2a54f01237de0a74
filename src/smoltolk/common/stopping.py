"""Ctrl-C and SIGTERM: a command ends between two items, with one line, and leaves nothing half done.

A signal raises nothing where it arrives. There may be the callback of a C library, which would print a traceback and go
on. It sets a flag, which :func:`check` looks at between items. What has no items for a while (an import, a clustering)
is ended from outside after a few seconds: files appear whole or not at all, so that nothing is lost by it. A training
is :func:`patient`: it looks at :func:`asked` itself, and takes the time to write a checkpoint.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn

from smoltolk.common.processes import is_main

CONTINUES = "stopped; the same command continues"
BEGINS_ANEW = "stopped; the same command begins anew"
WITH_CHECKPOINT = "  ends after this step, with a checkpoint; a second signal ends it at once, without"
GRACE_SECONDS = 3.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TICK_SECONDS = 0.05
_DYING_SECONDS = 2.0
_AT_ONCE_SECONDS, _PATIENCE_SECONDS = 0.5, 600.0  # of workers
_TWICE_SECONDS = 1.0  # what comes sooner is the first signal again: a launcher passes on what a terminal sent to all

_asked = 0  # the signal that came
_listening = False
_patient: str | None = None  # what a first signal is answered with while the work ends by itself
_in_worker = False  # that SIGTERM ends at once, but while it is patient
_line = CONTINUES  # nothing was begun yet
_told = threading.Lock()


class Stopped(BaseException):
    """A signal asked for the end.

    Attributes:
        code: that the process exits with.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.code = 128 + number


def check(patience: float = 0.0) -> None:
    """End here if a signal asked for it.

    Args:
        patience: seconds to wait for one: where a process of ours was ended, ours may be next.

    Raises:
        Stopped: it did.
    """
    until = time.monotonic() + patience
    while _listening and not _asked and time.monotonic() < until:
        time.sleep(_TICK_SECONDS)
    if _asked and _patient is None:
        raise Stopped(_asked)


def asked() -> int:
    """The signal that asked for the end; 0: none did."""
    return _asked


@contextmanager
def patient(told: str) -> Iterator[None]:
    """Let the block end by itself, however long that takes: it looks at :func:`asked`, and :func:`check` says nothing.

    A second signal, a second or more after the first, ends the process at once.

    Args:
        told: to whoever asks for the end meanwhile.
    """
    global _patient
    before, _patient = _patient, told
    with ExitStack() as stack:
        if _in_worker:
            stack.enter_context(listening())
        try:
            yield
        finally:
            _patient = before
        if _in_worker:
            check()  # after the block nobody would know of it


def work_for_parent() -> None:
    """Called first in a worker whose parent ends it by :func:`ask_children`."""
    global _in_worker
    _in_worker = True


def say_when_stopped(line: str) -> None:
    """What is told of this command when it is stopped: :data:`CONTINUES` or :data:`BEGINS_ANEW`."""
    global _line
    _line = line


@contextmanager
def listening(*, last: bool = False) -> Iterator[None]:
    """Let signals ask for the end while the block runs. Signals that the shell has switched off stay so.

    Args:
        last: the process ends with the block: what comes later finds the work done, and disturbs nothing.
    """
    global _asked, _listening
    if _listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = {one: signal.getsignal(one) for one in _SIGNALS}
    for one, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(one, _take_note)
    # The number of a signal is written there at once, whatever the main thread is doing.
    woken = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading,), daemon=True)
    _asked, _listening = 0, True
    watcher.start()
    try:
        yield
    finally:
        for one, handler in before.items():
            if last or handler is not None:
                signal.signal(one, signal.SIG_IGN if last else handler)
        signal.set_wakeup_fd(woken)
        writing.close()
        watcher.join()
        reading.close()
        _asked, _listening = 0, False
        say_when_stopped(CONTINUES)


def is_watched() -> bool:
    """Whether what this process prints is what the user reads: it is no worker, and the first of several."""
    return is_main() and multiprocessing.parent_process() is None


def say(text: str) -> None:
    """A line for whoever watches a command end; of several processes the first one says it, and workers never do."""
    if is_watched():
        with suppress(OSError):  # past Python's own buffers: another thread may hold them
            os.write(2, f"{chr(10) if os.isatty(2) else ''}{text}\n".encode())


def say_resumed(step: int, steps: int, what: str) -> None:
    """Tell where a training goes on; above live bars, which know of Python's own stream alone."""
    if is_watched():
        print(f"  goes on from step {step} of {steps} of {what}", file=sys.stderr, flush=True)


def say_kept(step: int, steps: int, what: str) -> None:
    """Tell what a stopped training has kept."""
    say(f"  step {step} of {steps} of {what} is kept as a checkpoint")


def leave(code: int) -> NoReturn:
    """Say that the command was stopped, and end the process and those that it started, at once."""
    if _told.acquire(blocking=False):
        end_children(multiprocessing.active_children())
        # Past Python's own buffers: another thread may hold them. A live bar has hidden the cursor.
        terminal = os.isatty(2)
        if is_watched():
            with suppress(OSError):
                os.write(2, f"{chr(10) if terminal else ''}{_line}\n{chr(27) + '[?25h' if terminal else ''}".encode())
        os._exit(code)
    while True:  # another thread is about to do so
        time.sleep(_TICK_SECONDS)


def ask_children(children: list[BaseProcess], told: str) -> None:
    """End processes at once, but wait for those that are :func:`patient`; a second signal ends this one, and them.

    Args:
        children: that called :func:`work_for_parent`.
        told: to whoever asked, where one of them takes its time.
    """
    for child in children:
        with suppress(OSError, ValueError):
            child.terminate()
    if _alive(children, _AT_ONCE_SECONDS):
        with patient(told):
            _alive(children, _PATIENCE_SECONDS)


def _alive(children: list[BaseProcess], seconds: float) -> bool:
    """Whether one of them lives after so long."""
    deadline = time.monotonic() + seconds
    for child in children:
        with suppress(OSError, ValueError):
            child.join(max(0.0, deadline - time.monotonic()))
    return any(child.exitcode is None for child in children)


def end_children(children: list[BaseProcess]) -> None:
    """End processes at once; what they have begun is begun again next time, which finds none of them alive."""
    for child in children:
        with suppress(OSError, ValueError):
            child.kill()
    _alive(children, _DYING_SECONDS)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes started in the block never see Ctrl-C, which a terminal sends to all: their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # when it starts it would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _take_note(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = _asked or number


def _watch(reading: socket.socket) -> None:
    """Lives in a thread: whatever the main thread computes, the process ends in time."""
    global _asked
    came, deadline, told = 0.0, 0.0, False  # came: when the first signal did
    while True:
        reading.settimeout(_TICK_SECONDS if came else None)
        try:
            numbers = reading.recv(64)
        except TimeoutError:
            numbers = None
        now = time.monotonic()
        if numbers == b"":
            return
        for number in numbers or ():
            if number in _SIGNALS and not came:
                _asked, came, deadline = _asked or number, now, now + GRACE_SECONDS
            elif number in _SIGNALS and _patient is not None and not _in_worker and now - came > _TWICE_SECONDS:
                leave(128 + number)
        if came and _patient is not None:
            deadline = now + GRACE_SECONDS
            if not told:
                told = True
                say(_patient)
        elif came and now >= deadline:
            leave(128 + _asked)
