"""An aligned corpus on disk: made once, shard by shard, then read through the page cache.

For corpora whose units and tokens do not fit into memory. All processes of a machine share one copy of its pages, and
the system drops them when memory is short.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.common.progress import bar
from smoltolk.data.aligned import AlignedCorpus
from smoltolk.data.shards import read_shard_metadata, read_shards, shard_paths

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


def index_shards(shards_dir: Path | str, tokenizer: Any, index_dir: Path | str) -> MappedCorpus:
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
    wanted = {
        "version": _VERSION,
        "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        "fingerprint": read_shard_metadata(paths[0]).fingerprint,
        "shards": {path.name: path.stat().st_size for path in paths},
    }
    if not index_dir.exists():
        with atomic_directory(index_dir) as directory:
            with IndexWriter(directory) as writer, bar(f"index of {len(paths)} shards", len(paths), "shards") as done:
                for path in paths:
                    units = read_shards(path, fingerprint=wanted["fingerprint"])
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
    return MappedCorpus(index_dir, tokenizer)


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


class MappedCorpus(AlignedCorpus):
    """An aligned corpus whose arrays stay on disk; picklable, a worker maps the files again.

    Args:
        directory: of the index.
        tokenizer: the one it was made with.
    """

    def __init__(self, directory: Path | str, tokenizer: Any):
        self._directory, self._tokenizer = Path(directory), tokenizer
        held = {name: self._map(name, kind) for name, kind in (*_FLAT.items(), *_EACH.items())}
        offsets = {name: self._map(name, np.int64) for name in _OFFSETS}
        self.has_words, self.num_tokens, self.num_units = held["has_words"], held["num_tokens"], held["num_units"]
        self.word_offsets, self._token_offsets = offsets["word_offsets"], offsets["token_offsets"]
        self.token_stops, self.unit_stops = held["token_stops"], held["unit_stops"]
        self.closes_sentence, self._char_stops, self._tokens = (
            held[name] for name in ("closes_sentence", "char_stops", "tokens")
        )
        self._utterances = _MappedUnits(held["units"], offsets["unit_offsets"])  # type: ignore[assignment]
        self._text, self._text_offsets = held["text"], offsets["text_offsets"]

    def __reduce__(self) -> tuple[type, tuple[Path, Any]]:
        return type(self), (self._directory, self._tokenizer)

    def _map(self, name: str, kind: Any) -> np.ndarray:
        path = self._directory / f"{name}.bin"
        return np.memmap(path, kind, "r") if path.stat().st_size else np.zeros(0, kind)

    def _locate(self, index: int) -> tuple[str, np.ndarray]:
        start, stop = self._text_offsets[index], self._text_offsets[index + 1]
        words = slice(self.word_offsets[index], self.word_offsets[index + 1])
        return self._text[start:stop].tobytes().decode(), self._char_stops[words]


class _MappedUnits:
    def __init__(self, flat: np.ndarray, offsets: np.ndarray):
        self._flat, self._offsets = flat, offsets

    def units(self, index: int) -> np.ndarray:
        return self._flat[self._offsets[index] : self._offsets[index + 1]]
