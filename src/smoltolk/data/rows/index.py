"""The aligned utterances of shards: in memory, or, where they are many, from an index on disk.

An index is made once, for all runs and all processes that need it. It lies under a name made of its shards and its
tokenizer, so another tokenizer or other shards have another one beside it, and none is ever out of date. While it is
being made its place is locked: whoever else needs it waits, and a kill opens the lock.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, cache_dir, remove_leftovers, write_json
from smoltolk.common.processes import is_main
from smoltolk.common.progress import bar
from smoltolk.common.workers import num_cpus, parallel_map
from smoltolk.data.rows.aligned import AlignedCorpus, check_fast
from smoltolk.data.rows.disk_corpus import DiskCorpus, IndexWriter
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.shard_set import ShardSet

_VERSION = 2  # 2: special tokens in texts are text
MOST_IN_MEMORY = 32_000_000  # bytes of shards; some 40,000 utterances of ten seconds, tokenized in ten seconds
_FEWEST_SHARED_OUT = 16  # shards


def aligned_shards(shards: ShardSet, tokenizer: Any, *, index: Path | str | None = None) -> AlignedCorpus:
    """The utterances of shards with their text tokenized and cut at words; rows of both forms are the same.

    Args:
        shards: of one tokenizer.
        tokenizer: a fast transformers tokenizer.
        index: where to keep an index of them; None: shards of more than 32 MB have one beside them, others none.

    Raises:
        InputError: a shard that breaks the rules, or no place for an index.
    """
    if stays_on_disk(shards, index):
        return index_shards(shards, tokenizer, index)
    units = read_shards(shards.source, fingerprint=shards.metadata.fingerprint)
    return AlignedCorpus(units, tokenizer, units.metadata.frame_rate)


def stays_on_disk(shards: ShardSet, index: Path | str | None) -> bool:
    """Whether :func:`aligned_shards` takes an index."""
    return index is not None or shards.num_bytes > MOST_IN_MEMORY


def index_shards(shards: ShardSet, tokenizer: Any, root: Path | str | None = None) -> DiskCorpus:
    """The aligned utterances of shards on disk; made if they are not yet there.

    Args:
        shards: of one tokenizer.
        tokenizer: a fast transformers tokenizer.
        root: directory of indexes, of these shards and others; None: ``.index`` in the directory of the shards, or,
            where one may not write there, ``index`` in the cache.

    Raises:
        InputError: a shard that breaks the rules, a tokenizer without offset mapping, or no place for an index.
    """
    belongs = {"version": str(_VERSION), "shards": shards.digest(), "units": shards.metadata.fingerprint}
    roots = index_roots(shards.directory, root)
    return kept_index(belongs, tokenizer, roots, lambda directory: _write(shards, tokenizer, directory))


def index_roots(beside: Path, root: Path | str | None) -> list[Path]:
    """Directories where an index may lie: the named one; else ``.index`` beside what it is made of, or the cache."""
    return [beside / ".index", cache_dir() / "index"] if root is None else [Path(root)]


def kept_index(
    belongs: dict[str, str], tokenizer: Any, roots: Sequence[Path], write: Callable[[Path], None]
) -> DiskCorpus:
    """An index on disk; made if it is not yet there.

    Args:
        belongs: what it is made of; ``shards``, if that is so, is their digest.
        tokenizer: a fast transformers tokenizer.
        roots: where it may lie; the first one in which one may write gets it.
        write: writes the files of an index into a directory.

    Raises:
        InputError: a tokenizer without offset mapping, or no place for an index.
    """
    check_fast(tokenizer)
    belongs = {**belongs, "tokenizer": _digest(tokenizer)}
    name = hashlib.sha256("\x1f".join(belongs.values()).encode()).hexdigest()[:16]
    made_of = belongs.get("shards")
    for place in roots:
        if (place / name).is_dir():
            return DiskCorpus(place / name, tokenizer, made_of)
    with _locked(roots, name) as place:
        if not (place / name).is_dir():  # another process may have made it meanwhile
            remove_leftovers(place, {name})
            with atomic_directory(place / name) as directory:
                write(directory)
                write_json(directory / "index.json", belongs)
    return DiskCorpus(place / name, tokenizer, made_of)


def _digest(tokenizer: Any) -> str:
    held = json.loads(tokenizer.backend_tokenizer.to_str())
    for setting in ("padding", "truncation"):  # of its last call, not its own
        held.pop(setting, None)
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def _write(shards: ShardSet, tokenizer: Any, directory: Path) -> None:
    title = f"index of {shards.directory.name}"
    # Processes start in seconds; a shard of 10,000 utterances takes three.
    workers = min(num_cpus(), len(shards.paths)) if len(shards.paths) >= _FEWEST_SHARED_OUT else 0
    aligned = parallel_map(_align, shards.paths, workers=workers, initializer=_install, initargs=(tokenizer,))
    with IndexWriter(directory) as writer, bar(title, shards.num_utterances, "utterances") as done:
        for parts in aligned:
            writer.add(parts)
            done.advance(len(parts["num_tokens"]))


_tokenizers: list[Any] = []  # of a worker process, one


def _install(tokenizer: Any) -> None:
    _tokenizers[:] = [tokenizer]


def _align(path: Path) -> dict[str, np.ndarray]:
    units = read_shards(path)
    return AlignedCorpus(units, _tokenizers[0], units.metadata.frame_rate).parts()


@contextmanager
def _locked(roots: Sequence[Path], name: str) -> Iterator[Path]:
    """The first directory that one may write to and lock, locked for this name until the block ends."""
    refused = []
    for root in roots:
        try:
            lock = _lock(root, name)
        except OSError as error:
            refused.append(f"{root}: {error.strerror}")
            continue
        try:
            yield root
        finally:
            lock.release()
        return
    raise InputError(
        "an index of shards lies where one may write, on a file system that can lock",
        "; ".join(refused),
        "name another place (--index)",
    )


def _lock(root: Path, name: str) -> FileLock:
    """A lock that is ours alone until it is released, by a kill too."""
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if is_main():  # of many processes one line is enough
            print(f"  another process makes the index in {root / name}: waiting for it", file=sys.stderr, flush=True)
        lock.acquire()
    return lock
