from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.disk_corpus import DiskArray, DiskCorpus, IndexWriter
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSettings, RowSource

SETTINGS = RowSettings(length=64, spans=SpanLengths((2, 4), (2, 4)), minimum=8)


def test_rows_from_disk_are_those_from_memory(
    make_corpus: Callable[..., AlignedCorpus], tokenizer: object, space: object, tmp_path: Path
) -> None:
    none = np.zeros(0)
    odd = [("", [], none, np.array([3]), np.array([25])), ("ein Café", [], none, np.array([1, 2]), np.array([5, 5]))]
    both = make_corpus([*make_corpus(seed=1, count=30, words=(1, 25))._utterances.items, *odd])  # type: ignore[attr-defined]
    with IndexWriter(tmp_path) as writer:
        for part in (slice(0, 13), slice(13, 14), slice(14, None)):
            writer.add(make_corpus(both._utterances.items[part]).parts())  # type: ignore[attr-defined]
    held = DiskCorpus(tmp_path, tokenizer)
    assert len(held) == 32 and held.text(31) == "ein Café" and held.text(3, 1, 2) == both.text(3, 1, 2)
    sources = [
        RowSource([Stream(task, corpus) for task in Task], space, seed=0, settings=SETTINGS)  # type: ignore[arg-type]
        for corpus in (both, held, pickle.loads(pickle.dumps(held)))  # noqa: S301
    ]
    for index in range(60):
        rows = [source.row(index) for source in sources]
        for row in rows[1:]:
            assert np.array_equal(row.input_ids, rows[0].input_ids) and np.array_equal(row.labels, rows[0].labels)
            assert row.pieces == rows[0].pieces


def test_an_array_on_disk_is_indexed_like_one_in_memory(tmp_path: Path) -> None:
    numbers = np.arange(10, dtype=np.int32) ** 2
    numbers.tofile(tmp_path / "numbers.bin")
    disk = DiskArray(tmp_path / "numbers.bin", np.int32)
    assert len(disk) == 10 and disk[3] == 9 and disk[-1] == 81 and disk[np.int64(2)] == 4
    for key in (slice(2, 5), slice(None), slice(-3, None), slice(5, 2), slice(1, 9, 3), np.array([7, 1]), numbers > 9):
        assert disk[key].tolist() == numbers[key].tolist()
    with pytest.raises(IndexError, match="number 10 of 10"):
        disk[10]
