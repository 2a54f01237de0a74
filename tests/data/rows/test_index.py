from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.rows import index as index_module
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.disk_corpus import DiskCorpus
from smoltolk.data.rows.index import aligned_shards, index_shards
from smoltolk.data.rows.inspection import plain_space, words_tokenizer
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.data.shards.parquet import UnitCorpus, read_shards
from smoltolk.data.shards.shard_set import ShardSet, look_over

SETTINGS = RowSettings(length=128, spans=SpanLengths((2, 4), (2, 4)), minimum=8)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # some tests fork
    return tmp_path / "cache"


@pytest.fixture
def shards(shards_dir: Path, tmp_path: Path) -> ShardSet:
    """The same shards in a directory of their own."""
    (tmp_path / "shards").mkdir()
    for path in shards_dir.glob("*.parquet"):
        os.link(path, tmp_path / "shards" / path.name)
    return look_over(tmp_path / "shards")


@pytest.fixture(scope="module")
def words(unit_corpus: UnitCorpus) -> Any:
    return words_tokenizer(unit_corpus)


def rows_of(corpus: AlignedCorpus, tokenizer: Any, num_units: int) -> list[tuple]:
    streams = [Stream(task, corpus) for task in Task]
    source = RowSource(streams, plain_space(tokenizer, num_units), seed=0, settings=SETTINGS)
    rows = [source.row(number) for number in range(40)]
    return [(*(a.tobytes() for a in (r.input_ids, r.labels, r.document_ids)), r.pieces, r.num_owned) for r in rows]


def test_rows_are_the_same_from_memory_and_from_disk(
    shards: ShardSet, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = aligned_shards(shards, words)
    assert not isinstance(memory, DiskCorpus) and not (shards.directory / ".index").exists()
    monkeypatch.setattr(index_module, "MOST_IN_MEMORY", shards.num_bytes - 1)
    disk = aligned_shards(shards, words)
    assert isinstance(disk, DiskCorpus) and (shards.directory / ".index").is_dir()
    found = [rows_of(corpus, words, shards.metadata.num_units) for corpus in (memory, disk)]
    assert found[0] == found[1] and len({row[0] for row in found[0]}) > 30
    for name in ("token_stops", "unit_stops", "word_offsets", "num_tokens", "num_units", "has_words"):
        assert np.array_equal(getattr(memory, name), np.asarray(getattr(disk, name)))


def test_a_named_place_is_used_for_small_shards_too(shards: ShardSet, words: Any, tmp_path: Path) -> None:
    assert isinstance(aligned_shards(shards, words, index=tmp_path / "here"), DiskCorpus)
    assert not (shards.directory / ".index").exists() and any((tmp_path / "here").glob("*/tokens.bin"))


def test_an_index_is_made_once_for_its_shards_and_its_tokenizer(
    shards: ShardSet, words: Any, tokenizer: Any, tmp_path: Path
) -> None:
    place = tmp_path / "indexes"
    made = lambda: sorted(path.parent.name for path in place.glob("*/index.json"))  # noqa: E731
    index_shards(shards, words, place)
    (first,) = made()
    before = (place / first / "tokens.bin").stat().st_mtime_ns
    words(["a b", "c"], truncation=True, max_length=1)  # settings of a call are not the tokenizer
    index_shards(look_over(shards.source), words, place)
    assert made() == [first] and (place / first / "tokens.bin").stat().st_mtime_ns == before
    assert len(index_shards(shards, tokenizer, place)) == shards.num_utterances and len(made()) == 2
    shards.paths[-1].unlink()
    fewer = look_over(shards.source)
    assert len(index_shards(fewer, words, place)) == fewer.num_utterances < shards.num_utterances
    assert len(made()) == 3


def test_where_one_may_not_write_the_cache_holds_the_index(shards: ShardSet, words: Any, cache: Path) -> None:
    (shards.directory / ".index").write_text("in the way")
    assert len(index_shards(shards, words)) == shards.num_utterances
    assert len(list((cache / "index").glob("*/index.json"))) == 1
    (cache / "index").rename(cache / "before")
    (cache / "index").write_text("in the way too")
    with pytest.raises(InputError, match=r"one may write(.|\n)*\.index(.|\n)*cache(.|\n)*--index"):
        index_shards(shards, words)


def test_a_tokenizer_without_offsets_is_refused(shards: ShardSet) -> None:
    with pytest.raises(InputError, match="use_fast=True"):
        index_shards(shards, object())


def side_by_side(count: int, work: Callable[[], None]) -> list[int]:
    """Exit codes of processes that all do the same at once."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode or 0 for process in processes]


def test_of_many_processes_one_makes_the_index_and_all_use_it(
    shards: ShardSet, words: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = index_module._write

    def counted(*given: Any) -> None:
        with (tmp_path / "makers").open("a") as file:
            file.write("x")
        write(*given)

    monkeypatch.setattr(index_module, "_write", counted)

    def start() -> None:
        corpus = index_shards(shards, words, tmp_path / "index")
        (tmp_path / f"read-{os.getpid()}").write_bytes(corpus.tokens(len(corpus) - 1).tobytes())

    assert side_by_side(4, start) == [0] * 4
    assert (tmp_path / "makers").read_text() == "x"
    assert len({path.read_bytes() for path in tmp_path.glob("read-*")}) == 1 and len(list(tmp_path.glob("read-*"))) == 4


def test_a_kill_while_it_is_made_leaves_nothing_half_written(
    shards: ShardSet, words: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "index"

    def killed() -> None:
        align = index_module._align

        def second_kills(path: Path) -> dict[str, np.ndarray]:
            if path == shards.paths[1]:
                os.kill(os.getpid(), signal.SIGKILL)
            return align(path)

        monkeypatch.setattr(index_module, "_align", second_kills)
        index_shards(shards, words, place)

    assert side_by_side(1, killed) == [-signal.SIGKILL]
    assert [path.name[:5] for path in place.iterdir() if path.is_dir()] == [".tmp-"]
    memory = aligned_shards(shards, words)
    disk = index_shards(shards, words, place)
    assert all(np.array_equal(disk.tokens(number), memory.tokens(number)) for number in range(len(memory)))
    (left,) = [path for path in place.iterdir() if path.is_dir()]
    assert (left / "index.json").is_file()


def test_a_broken_shard_leaves_no_index(shards: ShardSet, words: Any, tmp_path: Path) -> None:
    data = bytearray(shards.paths[1].read_bytes())
    data[40] ^= 0xFF
    shards.paths[1].unlink()
    shards.paths[1].write_bytes(bytes(data))
    with pytest.raises(InputError, match="whole Parquet file"):
        index_shards(look_over(shards.source), words, tmp_path / "index")
    assert not [path for path in (tmp_path / "index").iterdir() if path.is_dir()]


def test_look_over_tells_what_reading_would(shards: ShardSet) -> None:
    units = read_shards(shards.source)
    assert (shards.num_utterances, shards.seconds) == (len(units), float(units.seconds.sum()))
    assert shards.metadata == units.metadata
