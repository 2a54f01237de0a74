"""Rows as batches: a map-style data set, whose place is one number, and the collator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from smoltolk.common.errors import InputError
from smoltolk.data.rows.mixture import Task
from smoltolk.data.rows.row_source import RowSource
from smoltolk.model.ids import IdSpace
from smoltolk.model.spans import find_spans, group_spans, round_up

TASKS = tuple(Task)


class RowDataset(Dataset[dict[str, Tensor]]):
    """The first rows of a source, as torch tensors.

    Args:
        source: where rows come from.
        num_rows: length of the data set.
        tell_tasks: whether rows say what they are for, as the place of their task among all: what a log by task needs.
    """

    def __init__(self, source: RowSource, num_rows: int, tell_tasks: bool = False):
        if num_rows < 1:
            raise InputError("a data set has at least one row", f"{num_rows} rows", "correct the number")
        self.source, self.num_rows, self._tell_tasks = source, num_rows, tell_tasks

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One row, each int64 ``[T]``; several codebooks: ``codes`` too, ``[T, Q - 1]``.

        ``input_ids``, ``labels``, ``document_ids``, and ``attention_mask``: 1, but 0 at the padding at its end. Where
        tasks are told, ``tasks``, a number, too.
        """
        if not 0 <= index < self.num_rows:
            raise IndexError(f"row {index} of {self.num_rows}")
        row = self.source.row(index)
        mask = torch.ones(len(row.input_ids), dtype=torch.int64)
        mask[len(mask) - row.num_padding :] = 0
        item = {
            "input_ids": torch.from_numpy(row.input_ids),
            "attention_mask": mask,
            "labels": torch.from_numpy(row.labels),
            "document_ids": torch.from_numpy(row.document_ids),
        }
        if self._tell_tasks:
            item["tasks"] = torch.tensor(TASKS.index(row.task))
        if row.codes is not None:
            item["codes"] = torch.from_numpy(row.codes)
        return item


class RowCollator:
    """Stacks rows and finds their speech spans, so that the model need not wait for the device to do it.

    Args:
        space: the id space.
    """

    def __init__(self, space: IdSpace):
        self._speech_offset = space.speech_offset

    def __call__(self, rows: Iterable[dict[str, Tensor]]) -> dict[str, Any]:
        """What the rows have, int64 ``[B, T]`` each, and ``spans``, a tuple of SpanBatch.

        Of a :class:`RowDataset`: ``input_ids``, ``attention_mask``, ``labels``, ``document_ids``; several codebooks:
        ``codes`` too, int64 ``[B, T, Q - 1]``.
        """
        rows = list(rows)
        batch: dict[str, Any] = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        spans = find_spans(batch["input_ids"] >= self._speech_offset, batch["document_ids"])
        batch["spans"] = tuple(round_up(group) for group in group_spans(spans))
        return batch
