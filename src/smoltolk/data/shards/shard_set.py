"""What the shards of a directory are and hold in all, told without reading their units and words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smoltolk.common.errors import InputError
from smoltolk.data.shards.parquet import DAMAGED, common_metadata, shard_paths, unreadable
from smoltolk.data.shards.parts import unfinished_parts
from smoltolk.data.shards.unit_corpus import ShardMetadata

SHARD_ENDINGS = (".parquet", ".json", ".jsonl")  # of the files in a directory of shards
_GROUPS_SAMPLED = 8
_LENGTH_AT_END = 8  # a Parquet file closes with its footer, the footer's length and "PAR1"


@dataclass(frozen=True, slots=True)
class ShardSet:
    """The shards of a directory.

    Attributes:
        source: the directory (or the one file) as it was named.
        paths: in order of name.
        metadata: of all their units.
        num_utterances: in all.
        seconds: of speech.
        num_bytes: of the files.
    """

    source: Path
    paths: tuple[Path, ...]
    metadata: ShardMetadata
    num_utterances: int
    seconds: float
    num_bytes: int

    @property
    def directory(self) -> Path:
        """Where they lie."""
        return self.paths[0].parent

    @property
    def warning(self) -> str | None:
        """What is amiss although they can be used: parts that were to follow."""
        missing = unfinished_parts(self.source) if self.source.is_dir() else []
        if not missing:
            return None
        count = len(self.paths) + len(missing)
        return f"{len(missing)} of {count} shards are not there, e.g. {missing[0]}: was `prepare` interrupted?"

    def digest(self) -> str:
        """Hex digest of their names, sizes and footers, which tell what lies in the files and where."""
        state = hashlib.sha256()
        for path in self.paths:
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(-_LENGTH_AT_END, 2)
                length = int.from_bytes(file.read(4), "little")
                file.seek(-_LENGTH_AT_END - length, 2)
                state.update(f"{path.name}\x1f{size}\x1f".encode() + file.read(length))
        return state.hexdigest()

    def words_of_some(self, most: int = 1000) -> np.ndarray:
        """int64 ``[n]``: words of at most so many utterances, spread evenly over a few row groups."""
        groups = [(path, group) for path in self.paths for group in range(pq.read_metadata(path).num_row_groups)]
        lengths = []
        for path, group in groups[:: -(-len(groups) // _GROUPS_SAMPLED)]:
            try:
                with pq.ParquetFile(path) as file:
                    words = file.read_row_group(group, columns=["words"])["words"]
            except DAMAGED as error:
                raise unreadable(path, error) from error
            lengths.append(pc.list_value_length(words).to_numpy())
        every = np.concatenate(lengths).astype(np.int64)
        return every[:: -(-len(every) // most)]


def look_over(directory: Path | str, *, fingerprint: str | None = None) -> ShardSet:
    """Look over the shards of a directory (or one file).

    Args:
        directory: as written by the prepare step.
        fingerprint: of the tokenizer that the caller works with; None accepts any single one.

    Raises:
        NotFoundError: no shards.
        InputError: a shard that is cut short or of another codebook, or not a single utterance.
    """
    paths = shard_paths(directory)
    metadata = common_metadata(paths, fingerprint)
    seconds = []
    for path in paths:
        try:
            seconds.append(pq.read_table(path, columns=["seconds"])["seconds"].to_numpy())
        except DAMAGED as error:
            raise unreadable(path, error) from error
    every = np.concatenate(seconds)
    if not len(every):
        raise InputError("shards hold an utterance at least", f"none in {directory}", "prepare a corpus that has some")
    num_bytes = sum(path.stat().st_size for path in paths)
    return ShardSet(Path(directory), tuple(paths), metadata, len(every), float(every.sum()), num_bytes)
