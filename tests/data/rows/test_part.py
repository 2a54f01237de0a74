"""A part of a corpus is what a corpus of those utterances would be, in memory and on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.index import aligned_shards
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Task
from smoltolk.data.rows.part import CorpusPart, held_out_tail
from smoltolk.data.rows.plan import plan_rows
from smoltolk.data.shards.shard_set import look_over

FIRST, LAST = 2, 6


class Some:
    """A few utterances of others."""

    def __init__(self, whole: Any):
        self._whole = whole

    def __len__(self) -> int:
        return LAST - FIRST

    def __getattr__(self, name: str) -> Any:
        return lambda index: getattr(self._whole, name)(FIRST + index)


@pytest.fixture(params=["memory", "disk"])
def whole(request: pytest.FixtureRequest, shards_dir: Path, byte_tokenizer: Any, tmp_path: Path) -> AlignedCorpus:
    index = tmp_path if request.param == "disk" else None
    return aligned_shards(look_over(shards_dir), byte_tokenizer, index=index)


@pytest.mark.parametrize("task", list(Task))
def test_a_part_is_planned_and_read_as_a_corpus_of_its_own(
    whole: AlignedCorpus, shards_dir: Path, byte_tokenizer: Any, task: Task
) -> None:
    from smoltolk.data.shards.parquet import read_shards

    units = read_shards(shards_dir)
    alone = AlignedCorpus(Some(units), byte_tokenizer, units.metadata.frame_rate)
    part = CorpusPart(whole, FIRST, LAST)
    assert len(part) == len(alone) == LAST - FIRST
    options: Any = {"row_length": 400, "minimum": 16, "spans": SpanLengths(), "seed": 3}
    plans = [plan_rows(task, corpus, **options) for corpus in (part, alone)]
    assert [plan.row(n) for plan in plans[:1] for n in range(plan.num_rows)] == [
        plans[1].row(n) for n in range(plans[1].num_rows)
    ]
    for number in range(len(part)):
        words = part.num_words(number)
        assert words == alone.num_words(number)
        assert part.text(number, 1, words) == alone.text(number, 1, words)
        for name in ("tokens", "units", "fresh_tokens"):
            assert np.array_equal(getattr(part, name)(number, 1, words), getattr(alone, name)(number, 1, words)), name
        borders = np.array([0, 2, words])
        for one, other in zip(part.cuts(number, borders), alone.cuts(number, borders), strict=True):
            assert np.array_equal(one, other)


def test_the_last_utterances_are_held_out_and_a_tenth_at_most(whole: AlignedCorpus) -> None:
    size_of = lambda number: int(whole.num_units[number])  # noqa: E731
    trained, held = held_out_tail(whole, 10**9, size_of)
    assert (len(trained), len(held)) == (7, 1) and held.text(0) == whole.text(7)
    with pytest.raises(IndexError):
        held.num_units[1]
    assert trained.num_units[-1] == whole.num_units[6]
    again = CorpusPart(whole, 0, 8)
    assert list(np.asarray(again.num_units)) == list(np.asarray(whole.num_units))
