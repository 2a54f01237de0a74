"""Files appear whole or not at all, and a broken one says where it is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import (
    atomic_directory,
    atomic_file,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_appears_with_its_suffix_kept_on_the_way(tmp_path):
    with atomic_file(tmp_path / "deep" / "a.flac") as temporary:
        assert temporary.suffix == ".flac" and temporary.parent == tmp_path / "deep"
        temporary.write_text("new")
        assert not (tmp_path / "deep" / "a.flac").exists()
    assert (tmp_path / "deep" / "a.flac").read_text() == "new"


def test_a_directory_is_replaced_whole(tmp_path):
    with atomic_directory(tmp_path / "d") as temporary:
        (temporary / "one").write_text("1")
    with atomic_directory(tmp_path / "d") as temporary:
        (temporary / "two").write_text("2")
    assert [child.name for child in (tmp_path / "d").iterdir()] == ["two"]
    with pytest.raises(RuntimeError), atomic_directory(tmp_path / "d") as temporary:
        raise RuntimeError
    assert [child.name for child in tmp_path.iterdir()] == ["d"]


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "a.json", {"ü": [1, None]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, None]}
    assert write_jsonl(tmp_path / "a.jsonl", ({"n": n} for n in range(3))) == 3
    assert list(read_jsonl(tmp_path / "a.jsonl")) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_broken_json_says_where(tmp_path):
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(InputError, match="line 1 column"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(InputError, match=r"line 2(?s:.*)correct the line"):
        list(read_jsonl(tmp_path / "a.jsonl"))
    with pytest.raises(NotFoundError, match="must exist"):
        read_json(tmp_path / "b.json")


def test_a_mark_at_the_beginning_is_no_json_and_no_mistake(tmp_path: Path) -> None:
    """As editors of Windows put it there."""
    for name in ("a.json", "a.jsonl"):
        (tmp_path / name).write_text('{"a": 1}\n', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"a": 1} and list(read_jsonl(tmp_path / "a.jsonl")) == [{"a": 1}]


_WRITER = """
import sys
from pathlib import Path
from smoltolk.common.files import atomic_directory
place, name = Path(sys.argv[1]), sys.argv[2]
for turn in range(60):
    with atomic_directory(place) as directory:
        for number in range(5):
            (directory / str(number)).write_text(f"{name} {turn}")
"""


def test_processes_that_put_a_directory_there_at_once(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "d"), str(k)], stderr=subprocess.PIPE, text=True
        )
        for k in range(3)
    ]
    for process in running:
        assert process.communicate(timeout=120)[1] == "" and process.returncode == 0
    assert len({path.read_text() for path in (tmp_path / "d").iterdir()}) == 1 and len(list(tmp_path.iterdir())) == 1
