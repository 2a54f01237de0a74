from __future__ import annotations

import pickle
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.loader import RankSampler, RowCollator, RowDataset
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSettings, RowSource
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


def row_bytes(batch: dict) -> list[bytes]:
    """Of each row of a batch: all its numbers."""
    return [
        b"".join(batch[name][row].numpy().tobytes() for name in ("input_ids", "labels", "document_ids"))
        for row in range(len(batch["input_ids"]))
    ]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_rows_are_byte_identical_for_any_ranks_and_workers(source, space, workers):
    """1, 2, 3 and 8 ranks: every row of the run comes once, with the same bytes."""
    count = 24
    expected = [row_bytes({k: v[None] for k, v in RowDataset(source, count)[i].items()})[0] for i in range(count)]
    for world_size in (1, 2, 3, 8) if workers == 0 else (1, 3):  # starting processes takes longer than rows
        for rank in range(world_size):
            sampler = RankSampler(count, rank=rank, world_size=world_size)
            loader = DataLoader(
                RowDataset(source, count),
                batch_size=2,
                sampler=sampler,
                collate_fn=RowCollator(space),
                num_workers=workers,
                multiprocessing_context="fork" if workers else None,
            )
            rows = [row for batch in loader for row in row_bytes(batch)]
            assert rows == expected[rank::world_size]


@pytest.mark.parametrize("killed_at", range(0, 25, 4))
def test_after_a_kill_at_any_row_the_rest_is_the_same(stories, source, space, killed_at):
    count = 24
    expected = [source.row(index) for index in range(count)]
    for world_size in (1, 2, 3, 8):  # the number of machines may change with the restart
        fresh = RowSource(source.streams, space, seed=0, settings=source.settings)
        left: dict[int, bytes] = {}
        for rank in range(world_size):
            for item in RankSampler(count, rank=rank, world_size=world_size, first=killed_at):
                left[item] = RowDataset(fresh, count)[item]["input_ids"].numpy().tobytes()
        assert left == {item: expected[item].input_ids.tobytes() for item in range(killed_at, count)}


def test_rows_survive_a_real_kill(tmp_path, source):
    """A process writes rows until it is killed; what it wrote is what another process makes of the same numbers."""
    path = tmp_path / "source.pkl"
    path.write_bytes(pickle.dumps(source))
    script = (
        "import os, pickle, signal, sys\n"
        "source = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "for index in range(99):\n"
        "    row = source.row(index)\n"
        "    os.write(1, row.input_ids.tobytes() + row.labels.tobytes())\n"
        "    if index == 4:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    size = 2 * source.row(0).input_ids.nbytes
    reached = len(killed.stdout) // size
    assert reached == 5 and killed.stdout == b"".join(
        row.input_ids.tobytes() + row.labels.tobytes() for row in map(source.row, range(reached))
    )


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
