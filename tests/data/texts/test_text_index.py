"""A large text trains from an index that is made once; rows are those of the same text in memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.disk_corpus import DiskCorpus
from smoltolk.data.rows.inspection import plain_space
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.data.texts import text_index
from smoltolk.data.texts.reading import read_documents
from smoltolk.data.texts.text_index import WrittenText


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text_index, "_PART_BYTES", 300)


@pytest.fixture(params=[".txt", ".jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A hundred documents, empty lines among them."""
    path = tmp_path / f"text{request.param}"
    texts = [f"Story {n} has  bread.\tIt is {'very ' * (n % 30)}good." for n in range(100)]
    lines = [json.dumps({"text": text}) if request.param == ".jsonl" else text for text in texts]
    path.write_text("\ufeff" + "\n".join(lines[:50]) + "\n\n   \n" + "\r\n".join(lines[50:]), encoding="utf-8")
    return path


def rows_of(corpus: AlignedCorpus, tokenizer: Any) -> list[bytes]:
    settings = RowSettings(length=64, minimum=8)
    source = RowSource([Stream(Task.TEXT, corpus)], plain_space(tokenizer, 4), seed=0, settings=settings)
    return [source.row(number).input_ids.tobytes() for number in range(60)]


def test_rows_are_the_same_from_memory_and_from_disk(
    path: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = WrittenText(path)
    memory = small.open(tokenizer)
    assert not isinstance(memory, DiskCorpus) and not (tmp_path / ".index").exists()
    monkeypatch.setattr(text_index, "MOST_IN_MEMORY", 100)
    large = WrittenText(path)
    disk = large.open(tokenizer)
    assert isinstance(disk, DiskCorpus) and (tmp_path / ".index").is_dir() and len(disk) == 100
    assert small.digest == large.digest == read_documents(path).digest
    assert rows_of(memory, tokenizer) == rows_of(disk, tokenizer)
    assert [memory.text(n) for n in range(100)] == [disk.text(n) for n in range(100)]
    for name in ("token_stops", "unit_stops", "word_offsets", "num_tokens", "num_units", "has_words"):
        assert np.array_equal(getattr(memory, name), np.asarray(getattr(disk, name))), name


def test_a_second_start_reads_a_few_blocks_alone(
    path: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = WrittenText(path, index=tmp_path / "index")
    expected = rows_of(first.open(tokenizer), tokenizer)
    for name in ("digest_of_file", "_write"):
        monkeypatch.setattr(text_index, name, lambda *_: pytest.fail("read again"))
    again = WrittenText(path, index=tmp_path / "index")
    assert again.digest == first.digest and rows_of(again.open(tokenizer), tokenizer) == expected


@pytest.mark.parametrize("how", ["longer", "another letter", "another time"])
def test_a_text_that_changed_has_an_index_of_its_own(path: Path, tokenizer: Any, tmp_path: Path, how: str) -> None:
    first = WrittenText(path, index=tmp_path / "index")
    first.open(tokenizer)
    state, held = path.stat(), path.read_bytes()
    changed = {
        "longer": held + b"\r\n" + held.split(b"\n")[-1],
        "another letter": held.replace(b"bread", b"breed"),
        "another time": held,
    }
    path.write_bytes(changed[how])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + (how == "another time")))
    again = WrittenText(path, index=tmp_path / "index")
    assert (again.digest == first.digest) == (how == "another time")
    again.open(tokenizer)
    assert len(list((tmp_path / "index").glob("*/index.json"))) == 2 - (how == "another time")


def test_what_is_no_text_is_told(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        WrittenText(tmp_path / "none.txt", index=tmp_path)
    for content, found in ((b"\xff\xfe good", "UTF-8"), (b"\n \n", "has none")):
        (tmp_path / "text.txt").write_bytes(content)
        with pytest.raises(InputError, match=found):
            WrittenText(tmp_path / "text.txt", index=tmp_path / "index").open(tokenizer)
    (tmp_path / "text.jsonl").write_text('{"text": "a"}\n{"words": "b"}\n')
    with pytest.raises(InputError, match="line 2"):
        WrittenText(tmp_path / "text.jsonl", index=tmp_path / "index").open(tokenizer)
    assert not list((tmp_path / "index").glob("*/index.json"))


def test_what_is_zero_alone_takes_no_room(path: Path, tokenizer: Any, tmp_path: Path) -> None:
    WrittenText(path, index=tmp_path / "index").open(tokenizer)
    (file,) = (tmp_path / "index").glob("*/unit_stops.bin")
    words = sum(len(text.split()) for text in read_documents(path))
    assert file.stat().st_size == 4 * words and file.stat().st_blocks <= 8
