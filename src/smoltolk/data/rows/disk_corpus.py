"""An aligned corpus on disk: written part by part, then read utterance by utterance.

For corpora whose units and tokens do not fit into memory; :mod:`.index` says where they lie. Files are read, not
mapped: mapped pages would count as the memory of every process that has touched them, and random rows touch them all.
The system keeps one copy of them for all processes as long as there is room.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.shards.stored_units import StoredUnits

# Flat arrays, and arrays with a number for each utterance. Offsets have one more, a 0 at the start.
_FLAT = {
    "tokens": np.int32,
    "token_stops": np.int32,
    "unit_stops": np.int32,
    "char_stops": np.int32,
    "closes_sentence": np.bool_,
    "units": np.uint16,
    "text": np.uint8,
}
_EACH = {"num_tokens": np.int32, "num_units": np.int32, "has_words": np.bool_}
_PAIR = struct.Struct("=qq")
_OFFSETS = ("word_offsets", "token_offsets", "unit_offsets", "text_offsets")


class IndexWriter(ExitStack):
    """Appends aligned corpora to the files of an index.

    Args:
        directory: of the files.
    """

    def __init__(self, directory: Path):
        super().__init__()
        self._directory = directory

    def __enter__(self) -> IndexWriter:
        super().__enter__()
        names = (*_FLAT, *_EACH, *_OFFSETS)
        self._files: dict[str, IO[bytes]] = {
            name: self.enter_context((self._directory / f"{name}.bin").open("wb")) for name in names
        }
        self._totals = dict.fromkeys(_OFFSETS, 0)
        for name in _OFFSETS:
            self._write(name, np.zeros(1, np.int64))
        self.callback(self._end)
        return self

    def add(self, parts: Mapping[str, np.ndarray]) -> None:
        """Append :meth:`~smoltolk.data.rows.aligned.AlignedCorpus.parts` of a corpus."""
        for name, kind in (*_FLAT.items(), *_EACH.items()):
            self._write(name, parts[name].astype(kind, copy=False))
        for name in _OFFSETS:
            self._write(name, parts[name][1:].astype(np.int64) + self._totals[name])
            self._totals[name] += int(parts[name][-1])

    def _write(self, name: str, array: np.ndarray) -> None:
        if array.any():
            self._files[name].write(np.ascontiguousarray(array).tobytes())
        else:  # a hole, which takes no room: text alone has no units
            self._files[name].seek(array.nbytes, os.SEEK_CUR)

    def _end(self) -> None:
        for file in self._files.values():
            file.truncate(file.tell())


class DiskArray:
    """A file of numbers that reads what is asked for, and nothing else.

    Args:
        path: raw numbers.
        kind: their dtype.
    """

    def __init__(self, path: Path, kind: Any):
        self._path, self.dtype = path, np.dtype(kind)
        self._size = path.stat().st_size // self.dtype.itemsize
        self._file = path.open("rb", buffering=0)
        self._number = self._file.fileno()

    def __reduce__(self) -> tuple[type, tuple[Path, Any]]:
        return type(self), (self._path, self.dtype)

    def __len__(self) -> int:
        return self._size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.fromfile(self._path, self.dtype).astype(self.dtype if dtype is None else dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        """A number, a slice as a new array (read only); any other index reads the whole file."""
        if isinstance(key, slice):
            start, stop, step = key.indices(self._size)
            found = self._read(start, max(0, stop - start))
            return found if step == 1 else found[::step]
        if isinstance(key, int | np.integer):
            if not -self._size <= key < self._size:
                raise IndexError(f"number {key} of {self._size}")
            return self._read(int(key) % self._size, 1)[0]
        return np.asarray(self)[key]

    def _read(self, start: int, count: int) -> np.ndarray:
        size = self.dtype.itemsize
        return np.frombuffer(os.pread(self._number, count * size, start * size), self.dtype)

    def pair(self, index: int) -> tuple[int, int]:
        """Of int64 numbers two neighbours, in half the time."""
        start, stop = _PAIR.unpack(os.pread(self._number, _PAIR.size, index * 8))
        return start, stop


class DiskCorpus(AlignedCorpus):
    """An aligned corpus whose arrays stay on disk; picklable, a worker opens the files again.

    Args:
        directory: of the index.
        tokenizer: the one it was made with.
        made_of: digest of its shards, None if they have none.
    """

    def __init__(self, directory: Path | str, tokenizer: Any, made_of: str | None = None):
        self._directory, self._tokenizer, self.made_of = Path(directory), tokenizer, made_of
        kinds = {**_FLAT, **_EACH, **dict.fromkeys(_OFFSETS, np.int64)}
        held: dict[str, Any] = {name: DiskArray(self._directory / f"{name}.bin", kind) for name, kind in kinds.items()}
        self.has_words, self.num_tokens, self.num_units = held["has_words"], held["num_tokens"], held["num_units"]
        self.word_offsets, self._token_offsets = held["word_offsets"], held["token_offsets"]
        self.token_stops, self.unit_stops = held["token_stops"], held["unit_stops"]
        self.closes_sentence, self._char_stops, self._tokens = (
            held[name] for name in ("closes_sentence", "char_stops", "tokens")
        )
        self._utterances = _DiskUnits(held["units"], held["unit_offsets"])  # type: ignore[assignment]
        self._text, self._text_offsets = held["text"], held["text_offsets"]

    def __reduce__(self) -> tuple[type, tuple[Path, Any, str | None]]:
        return type(self), (self._directory, self._tokenizer, self.made_of)

    def _extent(self, offsets: Any, utterance: int) -> tuple[int, int]:
        return offsets.pair(utterance)

    def is_of(self, utterances: object) -> bool:
        """Whether it was made of these shards, told by their digest."""
        return isinstance(utterances, StoredUnits) and self.made_of == utterances.shards.digest()

    def _locate(self, index: int) -> tuple[str, np.ndarray]:
        start, stop = self._extent(self._text_offsets, index)
        words = slice(*self._extent(self.word_offsets, index))
        return self._text[start:stop].tobytes().decode(), self._char_stops[words]


class _DiskUnits:
    """Units ``[n]``, or ``[n, Q]`` where the file holds Q numbers a frame."""

    def __init__(self, flat: DiskArray, offsets: DiskArray):
        self._flat, self._offsets = flat, offsets
        self._num_codebooks = len(flat) // max(1, int(offsets[-1]))

    def units(self, index: int) -> np.ndarray:
        start, stop = self._offsets.pair(index)
        if self._num_codebooks <= 1:
            return self._flat[start:stop]
        width = self._num_codebooks
        return self._flat[start * width : stop * width].reshape(-1, width)
