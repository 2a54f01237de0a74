"""The command line: thin verbs that parse, call and print; heavy imports happen inside the verb."""

from __future__ import annotations

import errno
import io
import os
import sys

from smoltolk.common.errors import InputError, SmolTolkError
from smoltolk.common.noise import silence_noise
from smoltolk.common.stopping import Stopped, leave, listening

# What users run into when they name a wrong place.
_PLACES = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: no file may become so large (ulimit -f)


def main(*, last: bool = True) -> None:
    """Entry point of the ``smoltolk`` command.

    Args:
        last: the process ends with it.
    """
    # Several processes share the machine: each library's own thread pool would only get in the way of the others'.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # What is stopped leaves semaphores to the tracker of multiprocessing, which clears them away and need not say so.
    ignored = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), ignored)))
    silence_noise()
    for name in ("stdin", "stdout", "stderr"):  # of a process that was started without, as by some schedulers
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nothing, "r" if name == "stdin" else "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # What is no text is told by whoever wants one.
    if isinstance(sys.stdin, io.TextIOWrapper) and sys.stdin.errors != "surrogateescape":
        sys.stdin.reconfigure(errors="surrogateescape")
    with listening(last=last):
        try:
            _run()
        except Stopped as stopped:
            leave(stopped.code)


def _run() -> None:
    from safetensors import SafetensorError

    from smoltolk.cli.app import app

    try:
        _check_arguments(sys.argv[1:])
        app()
    except SmolTolkError as error:
        _fail(str(error), error)
    except OSError as error:
        if error.errno in _NO_ROOM:
            _disk_full(error)
        if error.filename is None or error.errno not in _PLACES:
            raise
        fix = "choose another place, or change who may use this one"
        _fail(f"files must be readable, and outputs lie where one may write\n  found: {error}\n  fix:   {fix}", error)
    except SafetensorError as error:
        if not any(f"os error {number})" in str(error) for number in _NO_ROOM):
            raise
        _disk_full(error)


def _check_arguments(arguments: list[str]) -> None:
    """An empty path would be the current directory, whatever lies there: usually a variable of the shell is not set."""
    for number, argument in enumerate(arguments, 1):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            found = f"argument {number}" + (
                f", {argument}" if argument else f" behind {arguments[number - 2]!r}" * (number > 1)
            )
            raise InputError("no argument is empty", found, "leave it out, or see whether a variable is not set")


def _disk_full(error: Exception) -> None:
    fix = "free some space and run the same command again; what was finished is kept"
    _fail(f"there must be room on the disk\n  found: {error}\n  fix:   {fix}", error)


def _fail(message: str, error: Exception) -> None:
    if os.environ.get("SMOLTOLK_DEBUG"):
        raise error
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
