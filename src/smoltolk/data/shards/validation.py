"""Shards held against their rules, all of them, with every broken one named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.files import read_jsonl
from smoltolk.data.corpora.corpus import read_counts, read_info
from smoltolk.data.shards.columns import Ragged
from smoltolk.data.shards.parquet import DAMAGED, FRAME_TOLERANCE, WORD_TOLERANCE, read_shard_metadata, shard_paths
from smoltolk.data.shards.parts import check_corpus, unfinished_parts
from smoltolk.data.shards.repeated_ids import SeenIds
from smoltolk.data.shards.unit_corpus import WORD, ShardMetadata


@dataclass(frozen=True, slots=True)
class ShardReport:
    """One shard.

    Attributes:
        name: of the file.
        num_utterances, num_words, num_units: that could be read.
        seconds: of speech.
        problems: sentences; empty if all is well.
    """

    name: str
    num_utterances: int = 0
    num_words: int = 0
    num_units: int = 0
    seconds: float = 0.0
    problems: tuple[str, ...] = ()


def validate_shards(
    directory: Path | str, *, fingerprint: str | None = None, corpus: Path | str | None = None
) -> list[ShardReport]:
    """Read every shard of a directory (or one file), a row group at a time.

    Args:
        directory: as the prepare step or an importer writes it.
        fingerprint: of the tokenizer that all units must come from; None: that of the first readable shard.
        corpus: what the shards were made of; then each part must have all its utterances, the rejected ones listed.

    Raises:
        NotFoundError: no shards, or no such corpus.
    """
    paths = shard_paths(directory)
    reports, seen = [], _Seen(fingerprint)
    for path in paths:
        reports.append(_validate(path, seen))
    repeated = seen.ids.problems()
    reports = [
        replace(report, problems=(*report.problems, repeated[report.name])) if report.name in repeated else report
        for report in reports
    ]
    if Path(directory).is_dir():
        reports += _missing(paths)
    return reports if corpus is None else _against_corpus(reports, paths, Path(corpus))


class _Seen:
    """What the files before had: their tokenizer, and their ids."""

    def __init__(self, fingerprint: str | None):
        self.fingerprint = fingerprint
        self.first: tuple[str, ShardMetadata] | None = None
        self.ids = SeenIds()

    def problem_with(self, name: str, metadata: ShardMetadata) -> str | None:
        """Why a file's units are not of the same tokenizer as the others."""
        if self.fingerprint is not None and metadata.fingerprint != self.fingerprint:
            return f"its codebook is {metadata.fingerprint[:16]}, not {self.fingerprint[:16]}"
        if self.first is None:
            self.first = name, metadata
        if metadata != self.first[1]:
            return (
                f"its codebook is {_say(metadata)}, that of {self.first[0]} is {_say(self.first[1])}:"
                " these units must not be mixed"
            )
        return None


def _say(metadata: ShardMetadata) -> str:
    books = f"{metadata.num_codebooks} codebooks of " * (metadata.num_codebooks > 1)
    return f"{metadata.fingerprint[:16]} ({books}{metadata.num_units} units, {metadata.frame_rate:g} Hz)"


def _validate(path: Path, seen: _Seen) -> ShardReport:
    report = ShardReport(path.name)
    try:
        metadata = read_shard_metadata(path)
    except InputError as error:
        return replace(report, problems=(f"{error.found.removeprefix(str(path)).lstrip(': ')}",))
    mixed = seen.problem_with(path.name, metadata)
    problems = [] if mixed is None else [mixed]
    expected = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            expected = file.metadata.num_rows
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                problems += problems_in(table, metadata)
                seen.ids.add(path, table["id"])
                report = _add(report, table)
    except DAMAGED as error:
        problems.append(f"cut short or damaged: {first_line(error)}")
    else:
        if report.num_utterances != expected:
            problems.append(f"{report.num_utterances} rows, its end says {expected}")
    return replace(report, problems=tuple(problems))


def _add(report: ShardReport, table: pa.Table) -> ShardReport:
    words, units = pc.sum(pc.list_value_length(table["words"])), pc.sum(pc.list_value_length(table["units"]))
    return replace(
        report,
        num_utterances=report.num_utterances + table.num_rows,
        num_words=report.num_words + (words.as_py() or 0),
        num_units=report.num_units + (units.as_py() or 0),
        seconds=report.seconds + (pc.sum(table["seconds"]).as_py() or 0.0),
    )


def problems_in(table: pa.Table, metadata: ShardMetadata) -> list[str]:
    """Broken rules of some rows of a shard, each with the number of rows that break it and the first one's id."""
    empty = [name for name in table.column_names if table[name].null_count]
    if empty:
        return [f"empty cells in the columns {', '.join(empty)}"]
    empty = [name for name in ("units", "durations") if _has_holes(table[name])]
    if empty:
        return [f"empty places in the lists of {', '.join(empty)}"]
    problems = [(text, rows) for text, rows in (*_units(table, metadata), *_words(table)) if rows.any()]
    ids = table["id"]
    return [f"{text}: {rows.sum()} utterances, first {ids[int(rows.argmax())].as_py()!r}" for text, rows in problems]


def _has_holes(lists: pa.ChunkedArray) -> bool:
    values = pc.list_flatten(lists)
    inner = pc.list_flatten(values) if pa.types.is_fixed_size_list(values.type) else values
    return bool(values.null_count or inner.null_count)


def _units(table: pa.Table, metadata: ShardMetadata) -> Iterator[tuple[str, np.ndarray]]:
    """Rules of units and durations, each with the rows that break it."""
    units, durations = Ragged(table["units"]), Ragged(table["durations"])
    lengths = np.diff(units.offsets)
    yield "no units", lengths == 0
    differ = lengths != np.diff(durations.offsets)
    yield "units and durations differ in number", differ
    outside = np.asarray((units.flat.reshape(-1, metadata.num_codebooks) >= metadata.num_units).any(1))
    yield f"units outside the codebook of {metadata.num_units}", _any(outside, units.offsets)
    yield "durations below one frame", _any(durations.flat < 1, durations.offsets)
    if metadata.num_codebooks > 1:
        rule = "durations above one frame, where frames of several codebooks stand one by one"
        yield rule, _any(durations.flat > 1, durations.offsets)
    totals = np.concatenate([[0], np.cumsum(durations.flat, dtype=np.int64)])
    frames = totals[durations.offsets[1:]] - totals[durations.offsets[:-1]]
    seconds = table["seconds"].to_numpy()
    yield "lengths that are no time", ~(np.isfinite(seconds) & (seconds > 0))
    with np.errstate(invalid="ignore"):
        off = np.abs(frames - seconds * metadata.frame_rate) > FRAME_TOLERANCE
    yield "durations do not sum to the frames of the recording", off


def _words(table: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
    """Rules of word times, each with the rows that break it."""
    flat = pa.chunked_array([chunk.flatten() for chunk in table["words"].chunks], type=WORD)
    starts, ends = (pc.struct_field(flat, name).to_numpy().astype(np.float64) for name in ("start", "end"))
    lengths = pc.list_value_length(table["words"]).to_numpy()
    borders = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    seconds = np.repeat(table["seconds"].to_numpy(), lengths)
    yield "words without a time", _any(~(np.isfinite(starts) & np.isfinite(ends)), borders)
    backwards = ends < starts
    first = np.zeros(len(starts), bool)
    first[borders[:-1][lengths > 0]] = True
    backwards |= (np.diff(starts, prepend=-np.inf) < 0) & ~first
    yield "words out of order", _any(backwards, borders)
    outside = (starts < -WORD_TOLERANCE) | (ends > seconds + WORD_TOLERANCE)
    yield "words outside the recording", _any(outside, borders)


def _any(bad: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Which rows have a bad item: bool ``[rows]``."""
    before = np.concatenate([[0], np.cumsum(bad)])
    return before[offsets[1:]] > before[offsets[:-1]]


def _missing(paths: list[Path]) -> list[ShardReport]:
    """Gaps in the numbers of ``part-00000.parquet``, ..., and parts that were to follow."""
    gaps = set(unfinished_parts(paths[0].parent))
    numbers = [int(found[1]) for path in paths if (found := re.fullmatch(r"part-(\d+)", path.stem))]
    if len(numbers) == len(paths) > 1:
        gaps.update(f"part-{number:05d}.parquet" for number in set(range(max(numbers))) - set(numbers))
    return [ShardReport(name, problems=("it is missing",)) for name in sorted(gaps)]


def _against_corpus(reports: list[ShardReport], paths: list[Path], corpus: Path) -> list[ShardReport]:
    by_name = {report.name: report for report in reports}
    folder = paths[0].parent
    check_corpus(folder, corpus)
    for part in range(read_info(corpus).num_parts):
        name = f"part-{part:05d}"
        report = by_name.get(f"{name}.parquet", ShardReport(f"{name}.parquet", problems=("it is missing",)))
        listed = folder / "rejected" / f"{name}.jsonl"
        num_rejected = sum(1 for _ in read_jsonl(listed)) if listed.is_file() else 0
        wanted = read_counts(corpus, part).num_utterances
        if not report.problems and report.num_utterances + num_rejected != wanted:
            found = f"{report.num_utterances} utterances and {num_rejected} rejected, the corpus has {wanted}"
            report = replace(report, problems=(found,))
        by_name[report.name] = report
    return [by_name[name] for name in sorted(by_name)]
