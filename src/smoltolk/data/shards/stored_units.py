"""Utterances of shards that stay on disk: for a look at some of very many."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smoltolk.data.shards.columns import Coded
from smoltolk.data.shards.parquet import DAMAGED, unreadable
from smoltolk.data.shards.shard_set import ShardSet
from smoltolk.data.shards.unit_corpus import UnitCorpus


class StoredUnits:
    """The columns of :class:`~smoltolk.data.shards.unit_corpus.UnitCorpus`, read a row group at a time.

    One row group is kept, so utterances are best asked for in order; lengths and corpora of all are in memory, 12 bytes
    an utterance.

    Args:
        shards: of one tokenizer.

    Attributes:
        shards, metadata: as given.
        seconds: float64 [num_utterances].
        source_names: of all corpora.
        source_codes: int32 [num_utterances]: of each utterance, the place of its corpus in :attr:`source_names`.

    Raises:
        InputError: a shard that is cut short.
    """

    def __init__(self, shards: ShardSet):
        self.shards, self.metadata = shards, shards.metadata
        self._groups, sizes, tables = [], [], []
        for path in shards.paths:
            try:
                with pq.ParquetFile(path) as file:
                    groups = range(file.num_row_groups)
                    sizes += [file.metadata.row_group(group).num_rows for group in groups]
                    tables.append(file.read(columns=["seconds", "source"]))
            except DAMAGED as error:
                raise unreadable(path, error) from error
            self._groups += [(path, group) for group in groups]
        self._stops = np.cumsum(sizes)
        table = pa.concat_tables(tables)
        self.seconds: np.ndarray = table["seconds"].to_numpy()
        sources = Coded(table["source"])
        self.source_names, self.source_codes = sources.values, sources.codes
        self._held: tuple[int, UnitCorpus] | None = None

    def __len__(self) -> int:
        return len(self.seconds)

    def id(self, index: int) -> str:
        """Identifier of one utterance."""
        units, place = self._at(index)
        return units.id(place)

    def text(self, index: int) -> str:
        """Text of one utterance."""
        units, place = self._at(index)
        return units.text(place)

    def words(self, index: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """``(texts [w], starts float32 [w], ends float32 [w])`` of one utterance, times in seconds."""
        units, place = self._at(index)
        return units.words(place)

    def units(self, index: int) -> np.ndarray:
        """uint16 [n], or [n, Q] of several codebooks."""
        units, place = self._at(index)
        return units.units(place)

    def durations(self, index: int) -> np.ndarray:
        """uint16 [n] frames."""
        units, place = self._at(index)
        return units.durations(place)

    def _at(self, index: int) -> tuple[UnitCorpus, int]:
        """The row group of an utterance, and its place there."""
        if not 0 <= index < len(self):
            raise IndexError(f"utterance {index} of {len(self)}")
        group = int(np.searchsorted(self._stops, index, side="right"))
        if self._held is None or self._held[0] != group:
            path, number = self._groups[group]
            try:
                with pq.ParquetFile(path, page_checksum_verification=True) as file:
                    self._held = group, UnitCorpus(self.metadata, [file.read_row_group(number)])
            except DAMAGED as error:
                raise unreadable(path, error) from error
        units = self._held[1]
        return units, index - int(self._stops[group]) + len(units)
