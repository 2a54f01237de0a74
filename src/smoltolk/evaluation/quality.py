"""Figures of recordings by a command of one's own: predicted quality, likeness of a speaker, whatever it measures.

The command gets paths of wav files, one a line, on its standard input, or in a file whose name stands where the command
says ``{list}``. ``{references}`` is replaced by the name of a file with as many lines: the recording that the text of
each wav file comes from. It prints a line of JSON for each wav file, in any order::

    {"path": "/run/said/00000.wav", "mos": 3.9, "similarity": 0.71}

It is run without a shell.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError

TIMEOUT = 3600.0  # seconds
_LIST, _REFERENCES = "{list}", "{references}"
_ANSWER = 'a quality command prints a line {"path": .., "name": number} for each wav file'
_FIX = "correct the command; it can be tried by hand with paths on its standard input"


def check_command(command: str) -> list[str]:
    """The words of a command.

    Raises:
        InputError: it is empty, has a quotation mark that is not closed, or there is no such program.
    """
    rule = "a quality command is a program and its arguments"
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(rule, f"{command!r}: {error}", "close the quotation mark") from error
    if not words:
        raise InputError(rule, repr(command), 'write --quality "PROGRAM ARGUMENTS"')
    if shutil.which(words[0]) is None:
        raise InputError(rule, f"no program {words[0]!r}", "check its name, or give its whole path")
    return words


def needs_references(command: str) -> bool:
    """Whether a command compares with recordings."""
    return _REFERENCES in command


def measure_quality(
    command: str, sounds: Sequence[Path], references: Sequence[Path] = (), timeout: float = TIMEOUT
) -> list[dict[str, float]]:
    """Figures of each wav file, in order, by name; all have the same names.

    Args:
        command: see the module.
        sounds: absolute paths.
        references: as many, where the command asks for them.
        timeout: seconds that it may take for all of them.

    Raises:
        InputError: the command fails, takes longer, or answers something else.
    """
    words = check_command(command)
    for path in (*sounds, *references):
        if "\n" in str(path):
            raise InputError("paths stand one a line", f"{str(path)!r} has several", "take a place without line breaks")
    if needs_references(command) and len(references) != len(sounds):
        raise InputError(
            f"{_REFERENCES} of a quality command are recordings of the texts that were spoken",
            f"{len(references)} recordings, {len(sounds)} wav files",
            "measure synthesis of a corpus with recordings, or leave it out",
        )
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        lists = {_LIST: Path(folder, "list.txt"), _REFERENCES: Path(folder, "references.txt")}
        lists[_LIST].write_text("".join(f"{path}\n" for path in sounds), encoding="utf-8")
        lists[_REFERENCES].write_text("".join(f"{path}\n" for path in references), encoding="utf-8")
        for mark, place in lists.items():
            words = [word.replace(mark, str(place)) for word in words]
        said = _run(words, "" if _LIST in command else lists[_LIST].read_text(encoding="utf-8"), timeout)
    return _answers(said, [str(path) for path in sounds])


def _run(words: Sequence[str], given: str, timeout: float) -> str:
    """What a command prints; it is stopped with all that it has started."""
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    try:
        process = subprocess.Popen(words, **streams, start_new_session=True)
    except OSError as error:
        raise InputError("a quality command can be run", f"{words[0]!r}: {error}", _FIX) from error
    with process:
        ended = False
        try:
            said, complaint = process.communicate(given.encode(), timeout)
            ended = True
        except subprocess.TimeoutExpired as error:
            found = f"{shlex.join(words)} takes longer than {timeout:g} s"
            raise InputError("a quality command ends in time", found, "give it longer: --quality-timeout") from error
        finally:
            if not ended:  # what it has started would hold its output open
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
        raise InputError("a quality command ends with 0", f"it ended with {process.returncode}: {last[0]}", _FIX)
    return said.decode(errors="replace")


def _answers(said: str, paths: Sequence[str]) -> list[dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    wanted = set(paths)
    for number, line in enumerate(said.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(_ANSWER, f"line {number}: {line[:80]!r}", _FIX) from error
        path = row.pop("path", None) if isinstance(row, dict) else None
        if not isinstance(path, str) or not row or not all(map(_is_number, row.values())):
            raise InputError(_ANSWER, f"line {number}: {line[:80]!r}", _FIX)
        if path not in wanted or path in figures:
            found = f"line {number}: {path!r} was " + ("answered before" if path in figures else "not asked for")
            raise InputError(_ANSWER, found, _FIX)
        figures[path] = row
    if len(figures) != len(paths):
        missing = next(path for path in paths if path not in figures)
        raise InputError(_ANSWER, f"{len(figures)} lines for {len(paths)} wav files; none for {missing}", _FIX)
    names = {frozenset(row) for row in figures.values()}
    if len(names) > 1:
        first, second = (", ".join(sorted(one)) for one in list(names)[:2])
        raise InputError("all lines of a quality command have the same names", f"{first}; {second}", _FIX)
    return [figures[path] for path in paths]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
