"""Rows as batches: a map-style data set, a sampler whose whole state is one number, and the collator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from smoltolk.common.errors import InputError
from smoltolk.data.rows.row_source import RowSource
from smoltolk.model.ids import IdSpace
from smoltolk.model.spans import find_spans, group_spans, round_up


class RowDataset(Dataset[dict[str, Tensor]]):
    """Rows ``first .. first + num_rows`` of a source, as torch tensors.

    Args:
        source: where rows come from.
        num_rows: length of the data set.
        first: row that item 0 is; where a run continues.
    """

    def __init__(self, source: RowSource, num_rows: int, *, first: int = 0):
        if num_rows < 1 or first < 0:
            raise InputError(
                "a data set has at least one row, counted from 0",
                f"{num_rows} rows from {first}",
                "correct the numbers",
            )
        self.source, self.num_rows, self.first = source, num_rows, first

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``input_ids``, ``labels`` and ``document_ids``, each int64 ``[T]``; several codebooks: ``codes`` too."""
        if not 0 <= index < self.num_rows:
            raise IndexError(f"row {index} of {self.num_rows}")
        row = self.source.row(self.first + index)
        item = {
            "input_ids": torch.from_numpy(row.input_ids),
            "labels": torch.from_numpy(row.labels),
            "document_ids": torch.from_numpy(row.document_ids),
        }
        if row.codes is not None:
            item["codes"] = torch.from_numpy(row.codes)
        return item


class RankSampler(Sampler[int]):
    """The items of one rank, in order: those congruent to it.

    Args:
        num_rows: items of the data set.
        rank, world_size: which machine of how many.
        first: item that the run continues with.
    """

    def __init__(self, num_rows: int, *, rank: int = 0, world_size: int = 1, first: int = 0):
        if not 0 <= rank < world_size:
            raise InputError("0 <= rank < world_size", f"rank {rank} of {world_size}", "correct the numbers")
        self._items = range(first + (rank - first) % world_size, num_rows, world_size)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[int]:
        return iter(self._items)


class RowCollator:
    """Stacks rows and finds their speech spans, so that the model need not wait for the device to do it.

    Args:
        space: the id space.
    """

    def __init__(self, space: IdSpace):
        self._speech_offset = space.speech_offset

    def __call__(self, rows: Iterable[dict[str, Tensor]]) -> dict[str, Any]:
        """``input_ids``, ``labels``, ``document_ids``, each int64 ``[B, T]``, and ``spans``, a tuple of SpanBatch.

        Several codebooks: ``codes`` too, int64 ``[B, T, Q - 1]``.
        """
        rows = list(rows)
        batch: dict[str, Any] = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        spans = find_spans(batch["input_ids"] >= self._speech_offset, batch["document_ids"])
        batch["spans"] = tuple(round_up(group) for group in group_spans(spans))
        return batch
