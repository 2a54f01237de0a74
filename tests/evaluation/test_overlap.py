"""Runs of a test set in the training data, against looking for each of them by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.shards.parquet import UnitCorpus
from smoltolk.evaluation.overlap import Runs, overlap, units_of, words_of

LISTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(train=LISTS, test=LISTS, length=st.integers(1, 4))
def test_as_by_hand(train: list[list[int]], test: list[list[int]], length: int) -> None:
    runs = Runs(((str(n), units_of(np.array(item))) for n, item in enumerate(test)), length)
    for item in train:
        runs.look_in(units_of(np.array(item)))
    found = runs.overlap()

    def cut(item: list[int], size: int) -> list[tuple[int, ...]]:
        return [tuple(item[place : place + size]) for place in range(len(item) - size + 1)]

    there = {run for item in train for size in range(1, length + 1) for run in cut(item, size)}
    own = [cut(item, min(length, len(item))) for item in test]
    assert found.runs == len({run for item in own for run in item})
    assert found.found == len({run for item in own for run in item} & there)
    assert found.touched == sum(any(run in there for run in item) for item in own)
    assert found.names == [str(n) for n, item in enumerate(own) if all(run in there for run in item)]


def test_words_are_compared_without_signs_and_case() -> None:
    known: dict[str, int] = {}
    assert words_of("It's  late, Anna!", known).tolist() == words_of("it s LATE anna", known).tolist()
    assert words_of("late it", known).tolist() != words_of("it late", known).tolist()
    assert units_of(np.array([[1, 2], [2, 1]])).tolist() != units_of(np.array([[1, 2], [1, 2]])).tolist()


def test_texts_and_shards(tmp_path: Path, unit_corpus: UnitCorpus, shards_dir: Path) -> None:
    everything = overlap([shards_dir], shards_dir)
    for one in everything.values():
        assert one.whole == one.items == len(unit_corpus) and one.found == one.runs
    (tmp_path / "train.txt").write_text("\n".join(unit_corpus.text(i) for i in range(3)) + "\n")
    rows = [{"id": "seen", "text": unit_corpus.text(0).upper()}, {"id": "new", "text": "nothing of this was ever said"}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = overlap([tmp_path / "train.txt"], tmp_path / "test.jsonl")
    assert list(found) == ["words"] and found["words"].names == ["seen"] and found["words"].items == 2
    assert set(overlap([tmp_path / "train.txt"], shards_dir)) == {"words"}
    with pytest.raises(InputError, match="words or units"):
        Runs([("empty", np.zeros(0, np.uint64))], 3)
