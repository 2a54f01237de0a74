"""A directory of shards that is being written: whose it is, the files of each part, and what was left out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import check_place, read_json, read_jsonl, write_json, write_jsonl
from smoltolk.common.made import differences
from smoltolk.data.corpora.corpus import Counts, read_info
from smoltolk.data.shards.parquet import ShardMetadata, read_shard_metadata

_CLAIM = "prepare.json"
# What may lie there before: parts that other machines wrote, and what killed processes left.
_OURS = re.compile(r"part-\d+\.parquet|rejected|\.index|\.tmp-.*")


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


def claim_shards(out_dir: Path, wanted: dict[str, Any], num_parts: int) -> None:
    """Say what a directory is going to hold, or check that it is the same as last time.

    Args:
        out_dir: may not exist.
        wanted: what decides its shards, as JSON takes it.
        num_parts: that it will have.

    Raises:
        InputError: it holds shards of something else, or something else than shards.
    """
    wanted = {**wanted, "parts": num_parts}
    held = read_claim(out_dir)
    if held is None:
        check_place(out_dir, _OURS, "a directory of shards")
        write_json(out_dir / _CLAIM, wanted)
    elif held != wanted:
        raise InputError(
            "a directory of shards belongs to one corpus and one tokenizer",
            f"{out_dir} was made with others: {differences(held, wanted)}",
            "give another directory, or delete this one",
        )


def read_claim(directory: Path) -> dict[str, Any] | None:
    """What :func:`claim_shards` said of a directory; None if nothing did, as of shards that were made elsewhere."""
    try:
        return read_json(directory / _CLAIM)
    except NotFoundError:
        return None


def unfinished_parts(directory: Path) -> list[str]:
    """Names of the shards that a directory is going to hold and does not yet."""
    claim = read_claim(directory)
    files = [PartFiles.of(directory, part) for part in range(0 if claim is None else claim.get("parts", 0))]
    return [one.shard.name for one in files if not one.finished]


def check_corpus(directory: Path, corpus: Path | str) -> None:
    """Hold a directory of shards against a corpus.

    Raises:
        NotFoundError: no corpus.
        InputError: the shards were made of another.
    """
    claim, info = read_claim(directory), read_info(corpus)
    if claim is not None and claim.get("corpus", info.digest) != info.digest:
        raise InputError(
            "the corpus is the one that the shards were made of",
            f"{directory} was made of {claim['source']!r} ({claim['corpus'][:9]}), not of {corpus} ({info.digest[:9]})",
            "name the corpus that was given to `prepare`",
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
