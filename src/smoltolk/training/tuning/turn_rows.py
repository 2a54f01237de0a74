"""Rows of dialogues and of pairs: row i is a function of (seed, i), whatever was read before.

Dialogues are laid into rows whole, once, in an order that the seed gives; each epoch takes the rows in an order of its
own. So a run that was interrupted needs one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.rows.permutation import Permutation
from smoltolk.data.rows.turns import TurnDocument
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IGNORE, IdSpace
from smoltolk.model.spans import find_spans, group_spans, round_up
from smoltolk.training.tuning.encoding import Encoded, answer_labels


class TurnRows(Dataset[dict[str, Tensor]]):
    """Rows of T ids, each of whole dialogues and padding behind them.

    Args:
        encoded: the dialogues, none longer than a row.
        space: the id space.
        row_length: T.
        seed: of every order.
        num_rows: length of the data set; None: one epoch.

    Attributes:
        num_in_epoch: rows that hold each dialogue once.
    """

    def __init__(
        self, encoded: Sequence[Encoded], space: IdSpace, *, row_length: int, seed: int, num_rows: int | None = None
    ):
        self._documents, self._space, self._length, self._seed = encoded, space, row_length, seed
        order = generator(seed, "dialogues").permutation(len(encoded))
        self._rows = _filled(order, np.array([len(one.chosen) for one in encoded]), row_length)
        self.num_in_epoch = len(self._rows)
        self.num_rows = self.num_in_epoch if num_rows is None else num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """As :class:`smoltolk.data.rows.loader.RowDataset` gives rows."""
        if not 0 <= index < self.num_rows:
            raise IndexError(f"row {index} of {self.num_rows}")
        chosen = self._rows[_in_epochs(index, self.num_in_epoch, self._seed)]
        documents = [self._documents[number].chosen for number in chosen]
        ids = np.full(self._length, self._space.eos_text, np.int64)
        labels = np.full(self._length, IGNORE, np.int64)
        places = np.full(self._length, len(documents), np.int64)
        codes = np.full((self._length, self._space.num_codebooks - 1), SILENT, np.int64)
        filled = 0
        for number, document in enumerate(documents):
            stop = filled + len(document)
            ids[filled:stop], labels[filled:stop], places[filled:stop] = document.input_ids, document.labels, number
            codes[filled:stop] = document.codes
            filled = stop
        mask = np.arange(self._length) < filled
        row = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "labels": labels, "document_ids": places}
        if self._space.num_codebooks > 1:
            row["codes"] = codes
        return {name: torch.from_numpy(values) for name, values in row.items()}


def _filled(order: np.ndarray, lengths: np.ndarray, row_length: int) -> list[list[int]]:
    rows: list[list[int]] = []
    room = -1
    for number in order.tolist():
        if lengths[number] > room:
            rows.append([])
            room = row_length
        rows[-1].append(number)
        room -= int(lengths[number])
    return rows


def _in_epochs(index: int, size: int, seed: int) -> int:
    epoch, place = divmod(index, size)
    return Permutation(size, seed, "epoch", epoch)(place)


class PairRows(Dataset[dict[str, Any]]):
    """Preferences, as trainers of TRL and :class:`PairCollator` read them.

    Args:
        encoded: preferences.
        seed: of their order.
        num_rows: length of the data set; None: each once.

    Attributes:
        column_names: of its rows; by these a trainer of TRL knows that they are ids.
    """

    column_names = ("prompt_ids", "chosen_ids", "rejected_ids")

    def __init__(self, encoded: Sequence[Encoded], *, seed: int, num_rows: int | None = None):
        if any(one.rejected is None for one in encoded):
            raise InputError("a preference has a worse answer too", "a dialogue without", "read them as preferences")
        self._encoded, self._seed = encoded, seed
        self.num_rows = len(encoded) if num_rows is None else num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Ids before the answer and of both answers, int64 [n] each; and ``documents``, both whole."""
        if not 0 <= index < self.num_rows:
            raise IndexError(f"row {index} of {self.num_rows}")
        one = self._encoded[_in_epochs(index, len(self._encoded), self._seed)]
        chosen, rejected = one.chosen, one.rejected
        return {
            "prompt_ids": chosen.input_ids[: chosen.asked],
            "chosen_ids": chosen.input_ids[chosen.asked :],
            "rejected_ids": None if rejected is None else rejected.input_ids[rejected.asked :],
            "documents": (chosen, rejected),
        }


class PairCollator:
    """Pairs as a batch: the better dialogues, then the worse ones, padded on the right, with their speech spans.

    Args:
        space: the id space.
    """

    def __init__(self, space: IdSpace):
        self._space = space

    def __call__(self, pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """``input_ids``, ``attention_mask`` and ``completion_mask``, int64 ``[2 B, T]``, ``spans``, and ``codes``."""
        documents = [pair["documents"][side] for side in (0, 1) for pair in pairs]
        return collate_documents(documents, self._space)


def collate_documents(documents: Sequence[TurnDocument], space: IdSpace) -> dict[str, Any]:
    """Whole dialogues as a batch [N, T], of which the last answers are marked, 1 in ``completion_mask``."""
    shape = len(documents), max(map(len, documents))
    ids = np.full(shape, space.eos_text, np.int64)
    mask, answers = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    codes = np.full((*shape, space.num_codebooks - 1), SILENT, np.int64)
    for row, document in enumerate(documents):
        size = len(document)
        ids[row, :size], mask[row, :size], codes[row, :size] = document.input_ids, 1, document.codes
        answers[row, :size] = answer_labels(document) != IGNORE
    arrays: dict[str, np.ndarray] = {"input_ids": ids, "attention_mask": mask, "completion_mask": answers}
    if space.num_codebooks > 1:
        arrays["codes"] = codes
    batch: dict[str, Any] = {name: torch.from_numpy(values) for name, values in arrays.items()}
    spans = find_spans(batch["input_ids"] >= space.speech_offset, torch.zeros_like(batch["input_ids"]))
    batch["spans"] = tuple(round_up(group) for group in group_spans(spans))
    return batch
