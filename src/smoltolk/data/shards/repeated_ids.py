"""Ids that occur twice among shards, found with 8 bytes an id instead of the ids themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_KEPT_FILES = 2


class SeenIds:
    """Takes the ids of file after file; only their hashes stay in memory, 80 MB for ten million.

    Equal hashes are a suspicion: the ids themselves are read again before anything is said.
    """

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._hashes: list[np.ndarray] = []
        self._counts: list[int] = []  # ids of each file
        self._read: dict[Path, list[str | None]] = {}

    def add(self, path: Path, ids: pa.ChunkedArray) -> None:
        """The next ids of a file; its rows come in order, without another file between them."""
        if not self._paths or self._paths[-1] != path:
            self._paths.append(path)
            self._counts.append(0)
        self._hashes.append(_hashes(ids))
        self._counts[-1] += len(ids)

    def problems(self) -> dict[str, str]:
        """Name of a file -> a sentence about the first of its ids that stands before it, in that file or another."""
        if not self._hashes:
            return {}
        hashes = np.concatenate(self._hashes)
        order = np.argsort(hashes, kind="stable")
        stops = np.cumsum(self._counts)
        # Places in the order whose neighbour before is equal.
        suspects = np.flatnonzero(np.diff(hashes[order]) == 0) + 1
        suspects = suspects[np.argsort(order[suspects])]
        numbers = order[suspects]
        found: dict[str, str] = {}
        place = 0
        while place < len(suspects):
            number, file = int(numbers[place]), int(np.searchsorted(stops, numbers[place], side="right"))
            first = self._first(hashes, order, int(suspects[place]), stops)
            if first is None:
                place += 1
                continue
            name = self._id(number, stops)
            found[self._paths[file].name] = f"the id {name!r} is already in {self._paths[first].name}"
            place = int(np.searchsorted(numbers, stops[file]))  # one sentence a file
        return found

    def _first(self, hashes: np.ndarray, order: np.ndarray, place: int, stops: np.ndarray) -> int | None:
        """The file in which the id at a place of the order stands before; None if only hashes are equal."""
        name, hash_ = self._id(int(order[place]), stops), hashes[order[place]]
        low = int(np.searchsorted(hashes, hash_, sorter=order))
        for earlier in order[low:place].tolist():
            if self._id(earlier, stops) == name:
                return int(np.searchsorted(stops, earlier, side="right"))
        return None

    def _id(self, number: int, stops: np.ndarray) -> str | None:
        file = int(np.searchsorted(stops, number, side="right"))
        path, row = self._paths[file], number - int(stops[file]) + self._counts[file]
        if path not in self._read:
            while len(self._read) >= _KEPT_FILES:
                self._read.pop(next(iter(self._read)))
            self._read[path] = _read_ids(path, self._counts[file])
        return self._read[path][row]


def _hashes(ids: pa.ChunkedArray) -> np.ndarray:
    return np.fromiter(map(hash, ids.to_pylist()), np.int64, len(ids))


def _read_ids(path: Path, count: int) -> list[str | None]:
    """The first ids of a file; what lies behind them may be damaged."""
    ids: list[str | None] = []
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            if len(ids) < count:
                ids += file.read_row_group(group, columns=["id"])["id"].to_pylist()
    return ids
