"""Figures by a command of one's own: what it is given, what it answers, and how it goes wrong."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.evaluation.quality import check_command, measure_quality

ECHO = """
import json, sys
for line in reversed(sys.stdin.read().splitlines()):
    print(json.dumps({"path": line, "length": len(open(line).read()), "one": 1}))
"""


@pytest.fixture
def sounds(tmp_path: Path) -> list[Path]:
    """Three files of 1, 2 and 3 letters, in a place with a space in its name."""
    (tmp_path / "a place").mkdir()
    paths = [tmp_path / "a place" / f"{number}.wav" for number in range(3)]
    for number, path in enumerate(paths, 1):
        path.write_text("x" * number)
    return paths


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., str]:
    """``command(source, *arguments)``: a Python script."""

    def write(source: str, *arguments: str) -> str:
        (tmp_path / "a script.py").write_text(source)
        return shlex.join([sys.executable, str(tmp_path / "a script.py"), *arguments])

    return write


def test_figures_come_in_the_order_of_the_files(sounds: list[Path], command: Callable) -> None:
    assert measure_quality(command(ECHO), sounds) == [{"length": n, "one": 1} for n in (1, 2, 3)]


def test_a_list_and_recordings_to_compare_with(sounds: list[Path], command: Callable) -> None:
    source = """
import json, sys
made, known = (open(name).read().splitlines() for name in sys.argv[1:])
assert not sys.stdin.read()
for one, other in zip(made, known, strict=True):
    print(json.dumps({"path": one, "difference": len(open(one).read()) - len(open(other).read())}))
"""
    told = command(source, "{list}", "{references}")
    found = measure_quality(told, sounds, references=[sounds[0], sounds[0], sounds[1]])
    assert [row["difference"] for row in found] == [0, 1, 1]
    with pytest.raises(InputError, match="1 recordings, 3 wav files"):
        measure_quality(told, sounds, references=sounds[:1])


def test_no_shell_is_there(sounds: list[Path], command: Callable, tmp_path: Path) -> None:
    source = 'import sys; assert sys.argv[1:] == [";", "touch", "$HOME"]' + ECHO
    assert len(measure_quality(command(source, ";", "touch", "$HOME"), sounds)) == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys; sys.exit('out of memory')", "ended with 1: out of memory"),
        ("print('loading')", "line 1: 'loading'"),
        ("print('[1]')", "line 1"),
        ('print(\'{"path": "x"}\')', "line 1"),
        ('print(\'{"path": "x", "mos": 1}\')', "'x' was not asked for"),
        (ECHO.replace("reversed(sys.stdin.read().splitlines())", "sys.stdin.read().splitlines()[:2]"), "2 lines for 3"),
        (ECHO.replace("splitlines()", "splitlines() * 2"), "was answered before"),
        (ECHO.replace('"one": 1', '"one": float("nan")'), "line 1"),
        (ECHO.replace('"one": 1', '"one": "good"'), "line 1"),
        (ECHO.replace('"one": 1', '"one": True'), "line 1"),
        (ECHO.replace('"one": 1', '"one" + line[-5]: 1'), "the same names"),
        ("", "0 lines for 3 wav files; none for"),
    ],
)
def test_wrong_answers_are_named(source: str, message: str, sounds: list[Path], command: Callable) -> None:
    with pytest.raises(InputError) as told:
        measure_quality(command(source), sounds)
    assert message in str(told.value)


def test_a_command_ends_in_time_with_all_that_it_has_started(sounds: list[Path], command: Callable, tmp_path: Path):
    left = tmp_path / "left"
    child = f"import pathlib, time; time.sleep(3); pathlib.Path({str(left)!r}).touch()"
    source = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    start = time.monotonic()
    with pytest.raises(InputError, match="longer than 1 s"):
        measure_quality(command(source), sounds, timeout=1)
    assert time.monotonic() - start < 2.5
    time.sleep(3)
    assert not left.exists()


@pytest.mark.parametrize("wrong", ["", "  ", "no-such-program --fast", "'open"])
def test_no_command(wrong: str, sounds: list[Path]) -> None:
    with pytest.raises(InputError, match="a program and its arguments"):
        check_command(wrong)


def test_a_file_that_is_no_program(sounds: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "broken"
    place.write_bytes(b"\x7fELF no program")
    place.chmod(0o755)
    with pytest.raises(InputError, match="can be run"):
        measure_quality(str(place), sounds)
