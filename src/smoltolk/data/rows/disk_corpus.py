"""An aligned corpus on disk: made once, shard by shard, then read utterance by utterance.

For corpora whose units and tokens do not fit into memory. Files are read, not mapped: mapped pages would count as the
memory of every process that has touched them, and random rows touch them all. The system keeps one copy of them for
all processes as long as there is room.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.common.progress import bar
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.shards.parquet import read_shard_metadata, read_shards, shard_paths

_VERSION = 1
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
_OFFSETS = ("word_offsets", "token_offsets", "unit_offsets", "text_offsets")


def index_shards(shards_dir: Path | str, tokenizer: Any, index_dir: Path | str) -> DiskCorpus:
    """Align the shards of a directory and keep the result on disk; what is already there is opened.

    Args:
        shards_dir: as written by the prepare step.
        tokenizer: a fast transformers tokenizer.
        index_dir: appears whole or not at all.

    Raises:
        NotFoundError: no shards.
        InputError: a shard that breaks the rules, or ``index_dir`` is of other shards or another tokenizer.
    """
    paths, index_dir = shard_paths(shards_dir), Path(index_dir)
    fingerprint = read_shard_metadata(paths[0]).fingerprint
    wanted = {
        "version": _VERSION,
        "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        "fingerprint": fingerprint,
        "shards": {path.name: path.stat().st_size for path in paths},
    }
    if not index_dir.exists():
        with atomic_directory(index_dir) as directory:
            with IndexWriter(directory) as writer, bar(f"index of {len(paths)} shards", len(paths), "shards") as done:
                for path in paths:
                    units = read_shards(path, fingerprint=fingerprint)
                    writer.add(AlignedCorpus(units, tokenizer, units.metadata.frame_rate))
                    done.advance()
            write_json(directory / "index.json", wanted)
    held = read_json(index_dir / "index.json")
    if held != wanted:
        raise InputError(
            "an index belongs to its shards and its tokenizer",
            f"{index_dir} was made of others",
            "delete it, or name another directory",
        )
    return DiskCorpus(index_dir, tokenizer)


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
        return self

    def add(self, corpus: AlignedCorpus) -> None:
        """Append all utterances of a corpus."""
        parts = corpus.parts()
        for name, kind in (*_FLAT.items(), *_EACH.items()):
            self._write(name, parts[name].astype(kind, copy=False))
        for name in _OFFSETS:
            self._write(name, parts[name][1:].astype(np.int64) + self._totals[name])
            self._totals[name] += int(parts[name][-1])

    def _write(self, name: str, array: np.ndarray) -> None:
        self._files[name].write(np.ascontiguousarray(array).tobytes())


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

    def __reduce__(self) -> tuple[type, tuple[Path, Any]]:
        return type(self), (self._path, self.dtype)

    def __len__(self) -> int:
        return self._size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.fromfile(self._path, self.dtype).astype(self.dtype if dtype is None else dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        """A number, a slice as a new array; any other index reads the whole file."""
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
        held = bytearray(os.pread(self._file.fileno(), count * size, start * size))
        return np.frombuffer(held, self.dtype)


class DiskCorpus(AlignedCorpus):
    """An aligned corpus whose arrays stay on disk; picklable, a worker opens the files again.

    Args:
        directory: of the index.
        tokenizer: the one it was made with.
    """

    def __init__(self, directory: Path | str, tokenizer: Any):
        self._directory, self._tokenizer = Path(directory), tokenizer
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

    def __reduce__(self) -> tuple[type, tuple[Path, Any]]:
        return type(self), (self._directory, self._tokenizer)

    def _locate(self, index: int) -> tuple[str, np.ndarray]:
        start, stop = self._text_offsets[index : index + 2].tolist()
        words = slice(*self.word_offsets[index : index + 2].tolist())
        return self._text[start:stop].tobytes().decode(), self._char_stops[words]


class _DiskUnits:
    def __init__(self, flat: DiskArray, offsets: DiskArray):
        self._flat, self._offsets = flat, offsets

    def units(self, index: int) -> np.ndarray:
        return self._flat[slice(*self._offsets[index : index + 2].tolist())]
