from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.data_loader import prepare_data_loader, skip_first_batches
from torch.utils.data import DataLoader

from smoltolk.common.errors import InputError
from smoltolk.data.rows.disk_corpus import DiskCorpus, IndexWriter
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.loader import RowCollator, RowDataset
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
    assert set(batch) == {"input_ids", "attention_mask", "labels", "document_ids", "spans"}
    assert all(batch[name].shape == (6, 48) for name in batch if name != "spans")
    flags = batch["input_ids"] >= space.speech_offset
    # Grouped by length and rounded up: every speech position is in one group, and the spans are the same.
    assert torch.equal(sum((group.slot >= 0).long() for group in batch["spans"]), flags.long())
    lengths = torch.cat([group.mask.sum(1) for group in batch["spans"]])
    expected = find_spans(flags, batch["document_ids"]).mask.sum(1)
    assert sorted(lengths[lengths > 0].tolist()) == sorted(expected.tolist()) != []
    for group in batch["spans"]:
        assert flags.flatten()[group.index[group.mask]].all()


def test_the_mask_leaves_out_the_padding_of_each_row(source, space):
    dataset = RowDataset(source, 40)
    mask = RowCollator(space)([dataset[index] for index in range(40)])["attention_mask"]
    padding = [source.row(index).num_padding for index in range(40)]
    assert len(set(padding)) > 3 and 0 in padding
    for row, missing in zip(mask, padding, strict=True):
        assert row.tolist() == [1] * (48 - missing) + [0] * missing


COUNT, RANKS, WORKERS = 16, (1, 2, 3, 8), (0, 1, 4)


@pytest.fixture(scope="module", params=["memory", "disk", "codebooks"])
def kind(request, source, stories, space, make_corpus, tmp_path_factory):
    """A source and what makes it anew, as a restarted process would."""
    if request.param == "memory":
        corpus, ids = stories, space
    elif request.param == "disk":
        directory = tmp_path_factory.mktemp("index")
        with IndexWriter(directory) as writer:
            writer.add(stories.parts())
        corpus, ids = DiskCorpus(directory, stories._tokenizer), space
    else:
        rng, ids = np.random.default_rng(0), replace(space, delays=(0, 2, 1))
        items = [
            (text, words, ends, rng.integers(0, 20, (int(durations.sum()), 3)), np.ones(int(durations.sum()), int))
            for text, words, ends, _, durations in stories._utterances.items
        ]
        corpus = make_corpus(items)
    streams = [Stream(task, corpus) for task in Task]
    return lambda: RowSource(streams, ids, seed=0, settings=source.settings)


@pytest.fixture(scope="module")
def expected(kind):
    """All bytes of rows 0 to 15."""
    return row_bytes(RowCollator(kind().space)([RowDataset(kind(), COUNT)[index] for index in range(COUNT)]))


def row_bytes(batch: dict) -> list[bytes]:
    """Of each row of a batch: all its numbers."""
    names = [name for name in ("input_ids", "labels", "document_ids", "codes") if name in batch]
    return [b"".join(batch[name][row].numpy().tobytes() for name in names) for row in range(len(batch["input_ids"]))]


def read(source: RowSource, workers: int, numbers: range) -> list[bytes]:
    """Some of the rows, through a loader."""
    loader = DataLoader(
        RowDataset(source, COUNT),
        batch_size=2,
        sampler=numbers,
        collate_fn=RowCollator(source.space),
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    return [row for batch in loader for row in row_bytes(batch)]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("world_size", RANKS)
def test_rows_are_byte_identical_for_any_ranks_and_workers(kind, expected, world_size, workers):
    # Processes take longer to start than rows to make: with four workers the first and the last rank speak for all.
    source = kind()
    for rank in {0, world_size - 1} if workers == 4 else range(world_size):
        rows = read(source, workers, range(rank, COUNT, world_size))
        assert rows == expected[rank::world_size] and len(set(rows)) == len(rows)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("world_size", RANKS)
def test_after_a_kill_at_any_row_the_rest_is_the_same(kind, expected, world_size, workers):
    """Another process, with this many ranks and workers, goes on from a number that is all that was kept."""
    for killed_at in range(COUNT) if workers == 0 else (13,) if workers == 1 else (7,):
        left, source = {}, kind()
        for rank in range(world_size) if workers == 0 else {killed_at % world_size}:
            numbers = range(killed_at + (rank - killed_at) % world_size, COUNT, world_size)
            rows = read(source, workers, numbers)
            left |= dict(zip(numbers, rows, strict=True))
        assert all(row == expected[number] for number, row in left.items())
        assert workers or sorted(left) == list(range(killed_at, COUNT))


@pytest.mark.parametrize("world_size", RANKS)
def test_training_shares_out_the_same_rows(kind, expected, world_size):
    """As the Trainer does: accelerate hands each process its batches; a step has the next rows of the run."""
    source = kind()
    for skipped in (0, 1, 2):
        ranks = []
        for rank in range(world_size):
            loader = DataLoader(RowDataset(source, COUNT), batch_size=1, collate_fn=RowCollator(source.space))
            mine = prepare_data_loader(
                loader, device=torch.device("cpu"), num_processes=world_size, process_index=rank, put_on_device=False
            )
            ranks.append([row_bytes(batch)[0] for batch in skip_first_batches(mine, skipped)])
        steps = [row for step in zip(*ranks, strict=True) for row in step]
        rest = expected[skipped * world_size :]
        assert steps[: len(rest)] == rest  # the last step is filled up from the first rows


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
