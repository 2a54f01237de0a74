"""What is scored: sequences of ids, each with the place where its continuation begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IdSpace


@dataclass(frozen=True, slots=True)
class Scored:
    """A sequence to score.

    Attributes:
        ids: unified ids [T]; the first one is given, never predicted.
        start: index of the continuation's first id, ``1 <= start < T``.
        codes: [T, Q - 1], of several codebooks: the units behind the first, delayed, -1 where they are silent.
    """

    ids: Sequence[int] | np.ndarray
    start: int
    codes: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.start < len(self.ids):
            raise InputError(
                "a continuation needs something before it and something in it: 1 <= start < length",
                f"start = {self.start}, length = {len(self.ids)}",
                "give at least a begin id as the prompt and a non-empty continuation",
            )

    @classmethod
    def of(cls, document: Document, start: int, space: IdSpace) -> Scored:
        """A document from ``start`` on; frames that are still being said at its end are said to their end."""
        if space.num_codebooks == 1:
            return cls(document.input_ids, start)
        ending = np.full(len(document.owed), space.pad_speech)
        return cls(np.concatenate([document.input_ids, ending]), start, np.concatenate([document.codes, document.owed]))

    def codes_of(self, width: int) -> np.ndarray:
        """The codes [T, width]; silent where there are none."""
        return np.full((len(self.ids), width), SILENT) if self.codes is None else np.asarray(self.codes)
