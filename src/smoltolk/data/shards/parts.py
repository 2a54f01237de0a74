"""A directory of shards that is being written: whose it is, the files of each part, and what was left out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json, read_jsonl, write_json, write_jsonl
from smoltolk.common.made import differences
from smoltolk.data.corpora.corpus import Counts
from smoltolk.data.shards.parquet import ShardMetadata, read_shard_metadata


@dataclass(frozen=True, slots=True)
class PartFiles:
    """Files of one part.

    Attributes:
        shard: the Parquet file; once it is there, the part is finished.
        rejected: JSON lines of what could not be used; written before the shard.
    """

    shard: Path
    rejected: Path

    @classmethod
    def of(cls, out_dir: Path, part: int) -> PartFiles:
        """``part-00000.parquet`` and ``rejected/part-00000.jsonl`` and so on."""
        name = f"part-{part:05d}"
        return cls(out_dir / f"{name}.parquet", out_dir / "rejected" / f"{name}.jsonl")

    @property
    def finished(self) -> bool:
        """Whether the part is in its place."""
        return self.shard.is_file()


def claim_shards(out_dir: Path, wanted: dict[str, Any]) -> None:
    """Say what a directory is going to hold, or check that it is the same as last time.

    Raises:
        InputError: it holds shards of something else.
    """
    path = out_dir / "prepare.json"
    try:
        held = read_json(path)
    except NotFoundError:
        write_json(path, wanted)
        return
    if held != wanted:
        raise InputError(
            "a directory of shards belongs to one corpus and one tokenizer",
            f"{out_dir} was made with others: {differences(held, wanted)}",
            "give another directory, or delete this one",
        )


def gather(out_dir: Path, parts: Sequence[PartFiles], metadata: ShardMetadata) -> Counts:
    """Write ``rejected.jsonl`` of the finished parts, and count what they hold.

    Raises:
        InputError: a shard is of another tokenizer, or there is not a single usable utterance.
    """
    while True:
        finished = [part for part in parts if part.finished]
        rejected = list(itertools.chain(*(read_jsonl(part.rejected) for part in finished)))
        write_jsonl(out_dir / "rejected.jsonl", rejected)
        if [part for part in parts if part.finished] == finished:
            break  # else another machine finished a part meanwhile, and may have written before us
    counts = sum((_counts(part, metadata) for part in finished), Counts(num_rejected=len(rejected)))
    if rejected and not counts.num_utterances:
        raise InputError(
            "some recordings of a corpus must be usable",
            f"all {len(rejected)} were rejected, the first because: {rejected[0]['reason']}",
            f"see {out_dir / 'rejected.jsonl'}, then delete {out_dir} and run it again",
        )
    return counts


def _counts(part: PartFiles, metadata: ShardMetadata) -> Counts:
    if read_shard_metadata(part.shard) != metadata:
        raise InputError(
            "all shards of a directory must be of one tokenizer",
            f"{part.shard} is of another",
            "delete this file and run the same command again",
        )
    seconds = pq.read_table(part.shard, columns=["seconds"])["seconds"].to_numpy()
    return Counts(len(seconds), 0, float(seconds.sum()))
