from __future__ import annotations

import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from smoltolk.common.errors import InputError
from smoltolk.data.interleave import SpanLengths
from smoltolk.data.loader import RankSampler, RowCollator, RowDataset
from smoltolk.data.mixture import Stream, Task
from smoltolk.data.rows import RowSettings, RowSource
from smoltolk.model.spans import find_spans


@pytest.fixture(scope="module")
def source(stories, space):
    settings = RowSettings(length=48, spans=SpanLengths((2, 4), (2, 4)), minimum=8)
    return RowSource([Stream(task, stories) for task in Task], space, seed=0, settings=settings)


def test_batches_carry_their_spans(source, space):
    dataset = RowDataset(source, 6)
    batch = RowCollator(space)([dataset[index] for index in range(6)])
    assert set(batch) == {"input_ids", "labels", "document_ids", "spans"}
    assert batch["input_ids"].shape == batch["labels"].shape == batch["document_ids"].shape == (6, 48)
    flags = batch["input_ids"] >= space.speech_offset
    # Grouped by length and rounded up: every speech position is in one group, and the spans are the same.
    assert torch.equal(sum((group.slot >= 0).long() for group in batch["spans"]), flags.long())
    lengths = torch.cat([group.mask.sum(1) for group in batch["spans"]])
    expected = find_spans(flags, batch["document_ids"]).mask.sum(1)
    assert sorted(lengths[lengths > 0].tolist()) == sorted(expected.tolist()) != []
    for group in batch["spans"]:
        assert flags.flatten()[group.index[group.mask]].all()


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_share_the_rows_of_one_run(source, world_size):
    dataset = RowDataset(source, 17)
    rows = {}
    for rank in range(world_size):
        sampler = RankSampler(17, rank=rank, world_size=world_size)
        for item in sampler:
            assert item % world_size == rank and item not in rows
            rows[item] = dataset[item]["input_ids"]
        assert len(sampler) == len(list(sampler))
    assert sorted(rows) == list(range(17))
    assert all(torch.equal(rows[item], torch.from_numpy(source.row(item).input_ids)) for item in rows)


def test_a_run_continues_with_any_number_of_ranks(source):
    left = [list(RankSampler(20, rank=rank, world_size=3, first=7)) for rank in range(3)]
    assert sorted(item for part in left for item in part) == list(range(7, 20))
    resumed = RowDataset(source, 5, first=7)
    assert torch.equal(resumed[2]["labels"], RowDataset(source, 20)[9]["labels"])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_do_not_change_the_rows(source, space, workers):
    loader = DataLoader(
        RowDataset(source, 8),
        batch_size=3,
        collate_fn=RowCollator(space),
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    ids = torch.cat([batch["input_ids"] for batch in loader])
    assert torch.equal(ids, torch.stack([torch.from_numpy(source.row(i).input_ids) for i in range(8)]))


def test_a_source_travels_to_spawned_workers(source):
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert (copy.row(5).input_ids == source.row(5).input_ids).all()


def test_items_outside_are_refused(source):
    with pytest.raises(IndexError, match="row 3 of 3"):
        RowDataset(source, 3)[3]
    with pytest.raises(InputError, match="at least one row"):
        RowDataset(source, 0)
    with pytest.raises(InputError, match="0 <= rank < world_size"):
        RankSampler(3, rank=2, world_size=2)
