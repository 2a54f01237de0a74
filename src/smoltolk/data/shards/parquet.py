"""Shards: spoken utterances as units, in Parquet files that any tool opens.

One row an utterance::

    id, text, words list<struct{text, start, end}> (seconds), units list<uint16>,
    durations list<uint16> (frames), speaker, language, source, seconds

A codec with Q codebooks has a matrix of units, one row a frame: ``list<fixed_size_list<uint16, Q>>``; nothing is
joined, so durations are 1.

The file's metadata says which codebook the units belong to, so that a wrong one fails loudly.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import atomic_file
from smoltolk.data.shards.columns import Ragged
from smoltolk.data.shards.unit_corpus import SCHEMA_VERSION, WORD, ShardMetadata, UnitCorpus, UnitUtterance

_METADATA_KEY = b"smoltolk"
_ROWS_PER_GROUP = 1000
# Encoders that need context lose up to two frames at the ends of an utterance.
FRAME_TOLERANCE = 2.0
# Aligners round: a word may begin or end this much outside its recording.
WORD_TOLERANCE = 0.1
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("words", pa.list_(WORD)),
        ("units", pa.list_(pa.uint16())),
        ("durations", pa.list_(pa.uint16())),
        ("speaker", pa.string()),
        ("language", pa.string()),
        ("source", pa.string()),
        ("seconds", pa.float64()),
    ]
)


def schema_for(num_codebooks: int) -> pa.Schema:
    """Columns of shards whose frames have that many units."""
    if num_codebooks == 1:
        return SCHEMA
    frames = pa.list_(pa.list_(pa.uint16(), num_codebooks))
    return SCHEMA.set(SCHEMA.get_field_index("units"), pa.field("units", frames))


def check_utterance(utterance: UnitUtterance, metadata: ShardMetadata) -> None:
    """Hold one utterance against the rules of a shard.

    Raises:
        InputError: no units, a unit outside the codebook, durations that do not cover the recording, or words
            whose times run backwards or lie outside the recording.
    """
    units, durations = np.asarray(utterance.units), np.asarray(utterance.durations)
    starts = np.array([word.start for word in utterance.words], dtype=np.float64)
    ends = np.array([word.end for word in utterance.words], dtype=np.float64)
    several = metadata.num_codebooks > 1
    if units.shape[1:] != ((metadata.num_codebooks,) if several else ()):
        problem = f"units of shape {units.shape} from {metadata.num_codebooks} codebook{'s' * several}"
    elif len(units) != len(durations) or len(units) == 0:
        problem = f"{len(units)} units, {len(durations)} durations"
    elif units.min() < 0 or units.max() >= metadata.num_units:
        problem = f"units from {units.min()} to {units.max()} with a codebook of {metadata.num_units}"
    elif durations.min() < 1 or durations.max() > np.iinfo(np.uint16).max:
        problem = f"durations from {durations.min()} to {durations.max()} frames"
    elif abs(int(durations.sum()) - utterance.seconds * metadata.frame_rate) > FRAME_TOLERANCE:
        problem = (
            f"durations sum to {durations.sum()} frames, "
            f"{utterance.seconds:.3f} s have {utterance.seconds * metadata.frame_rate:.1f}"
        )
    elif several and durations.max() > 1:
        problem = f"a duration of {durations.max()} frames, where frames of several codebooks stand one by one"
    elif not np.all(np.isfinite(starts) & np.isfinite(ends)):
        problem = "a word without a time"
    elif np.any(ends < starts) or np.any(np.diff(starts) < 0):
        problem = "word times that run backwards"
    elif len(starts) and (starts[0] < -WORD_TOLERANCE or ends.max() > utterance.seconds + WORD_TOLERANCE):
        problem = f"words from {starts[0]:.2f} to {ends.max():.2f} s in a recording of {utterance.seconds:.2f} s"
    else:
        return
    raise InputError(
        "an utterance needs units of the codebook, durations that cover its recording, and words in order",
        f"utterance {utterance.id!r}: {problem}",
        "correct or leave out this utterance",
    )


class ShardWriter(AbstractContextManager["ShardWriter"]):
    """Writes one shard; the file appears, whole, when the ``with`` block ends without an error.

    Memory holds one row group (1,000 utterances) at a time.

    Args:
        path: the Parquet file; its directory is made.
        metadata: of the units.
    """

    def __init__(self, path: Path | str, metadata: ShardMetadata):
        self.path, self.metadata = Path(path), metadata
        self.num_utterances = 0
        self._pending: list[UnitUtterance] = []

    def __enter__(self) -> ShardWriter:
        self._atomic = atomic_file(self.path)
        self._schema = schema_for(self.metadata.num_codebooks)
        schema = self._schema.with_metadata({_METADATA_KEY: json.dumps(asdict(self.metadata)).encode()})
        self._file = pq.ParquetWriter(self._atomic.__enter__(), schema, compression="zstd", write_page_checksum=True)
        return self

    def add(self, utterance: UnitUtterance) -> None:
        """Append one utterance.

        Raises:
            InputError: it breaks a rule (see :func:`check_utterance`); the shard stays as it was.
        """
        check_utterance(utterance, self.metadata)
        self._pending.append(utterance)
        self.num_utterances += 1
        if len(self._pending) == _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        rows = self._pending
        columns = [
            pa.array([row.id for row in rows], pa.string()),
            pa.array([row.text for row in rows], pa.string()),
            pa.array(
                [[{"text": w.text, "start": w.start, "end": w.end} for w in row.words] for row in rows],
                pa.list_(WORD),
            ),
            self._units([np.asarray(row.units, np.uint16) for row in rows]),
            pa.array([np.asarray(row.durations, np.uint16) for row in rows], pa.list_(pa.uint16())),
            pa.array([row.speaker for row in rows], pa.string()),
            pa.array([row.language for row in rows], pa.string()),
            pa.array([row.source for row in rows], pa.string()),
            pa.array([row.seconds for row in rows], pa.float64()),
        ]
        self._file.write_batch(pa.record_batch(columns, schema=self._schema))
        self._pending = []

    def _units(self, rows: list[np.ndarray]) -> pa.Array:
        if self.metadata.num_codebooks == 1:
            return pa.array(rows, pa.list_(pa.uint16()))
        flat = pa.FixedSizeListArray.from_arrays(np.concatenate(rows).ravel(), self.metadata.num_codebooks)
        ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), flat, type=self._schema.field("units").type)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._pending:
                self._flush()
            self._file.close()
        except BaseException as closing:
            # A full disk shows itself here; the temporary file must go, and the reader hear of it.
            self._atomic.__exit__(type(closing), closing, closing.__traceback__)
            raise
        self._atomic.__exit__(kind, error, trace)


# What Arrow raises on files that are no Parquet, or broken ones: besides its own errors, names that are not UTF-8.
DAMAGED = (pa.ArrowException, OSError, ValueError)


def shard_paths(directory: Path | str) -> list[Path]:
    """The shards of a directory (or the one file named), in order of name.

    Raises:
        NotFoundError: there are none.
    """
    directory = Path(directory)
    if not directory.exists():
        raise NotFoundError("shards lie in a directory", f"no directory {directory}", "check the path")
    paths = [directory] if directory.is_file() else sorted(directory.glob("[!.]*.parquet"))
    if not paths:
        raise NotFoundError(
            "a directory of shards must hold *.parquet files",
            f"none in {directory}",
            "run the prepare step first",
        )
    return paths


def read_shard_metadata(path: Path | str) -> ShardMetadata:
    """Which codebook a shard belongs to, without reading its rows.

    Raises:
        InputError: cut short, not Parquet, or not a shard of this version.
    """
    try:
        schema = pq.read_schema(path)
        names = schema.names
    except DAMAGED as error:
        raise unreadable(path, error) from error
    said = _metadata_of((schema.metadata or {}).get(_METADATA_KEY))
    version = None if said is None else said.schema_version
    if (
        said is None
        or version != SCHEMA_VERSION
        or not schema.equals(schema_for(said.num_codebooks), check_metadata=False)
    ):
        raise InputError(
            f"a shard must have schema version {SCHEMA_VERSION} and its columns {SCHEMA.names}",
            f"{path} has version {version} and columns {names}",
            "prepare the corpus again with this version of smoltolk",
        )
    return said


def _metadata_of(held: bytes | None) -> ShardMetadata | None:
    """What a shard says of itself; None if it says nothing, or nothing that makes sense."""
    try:
        said = ShardMetadata(**json.loads(held or b"{}"))
    except (ValueError, TypeError, RecursionError):
        return None
    whole = (said.num_units, said.num_codebooks)
    named = isinstance(said.fingerprint, str) and type(said.frame_rate) in (int, float)
    return said if named and all(type(one) is int and 0 < one < 2**31 for one in whole) else None


def common_metadata(paths: Sequence[Path], fingerprint: str | None = None) -> ShardMetadata:
    """Which codebook the units of several shards belong to, without reading their rows.

    Args:
        paths: of the shards, at least one.
        fingerprint: of the tokenizer that the caller works with; None accepts any single one.

    Raises:
        InputError: a shard that is cut short, or of another codebook.
    """
    first = read_shard_metadata(paths[0])
    expected = first.fingerprint if fingerprint is None else fingerprint
    for path in paths:
        metadata = read_shard_metadata(path)
        if metadata.fingerprint != expected or metadata != first:
            raise InputError(
                f"all units must come from one tokenizer, here {expected}",
                f"{path} was made with {metadata.fingerprint} ({metadata.num_units} units)",
                "prepare the corpus with this tokenizer, or load the tokenizer it was made with",
            )
    return first


def read_shards(directory: Path | str, *, fingerprint: str | None = None) -> UnitCorpus:
    """Read all shards of a directory (or one file) into memory.

    Args:
        directory: as written by the prepare step.
        fingerprint: of the tokenizer that the caller works with; None accepts any single one.

    Raises:
        NotFoundError: no shards.
        InputError: a shard that is cut short, of another codebook, or whose rows break the rules.
    """
    paths = shard_paths(directory)
    metadata = common_metadata(paths, fingerprint)
    tables = []
    for path in paths:
        try:
            table = pq.read_table(path, page_checksum_verification=True)
        except DAMAGED as error:
            raise unreadable(path, error) from error
        _check_table(path, table, metadata)
        tables.append(table)
    return UnitCorpus(metadata, tables)


def _check_table(path: Path, table: pa.Table, metadata: ShardMetadata) -> None:
    """The rules of check_utterance, for a whole file at once."""
    units, durations = Ragged(table["units"]), Ragged(table["durations"])
    problem = None
    if any(table[name].null_count for name in table.column_names) or len(units.flat) != units.offsets[-1]:
        problem = "empty cells"
    elif not np.array_equal(units.offsets, durations.offsets):
        problem = "units and durations of different length"
    elif units.flat.size and units.flat.max() >= metadata.num_units:
        problem = f"unit {units.flat.max()} with a codebook of {metadata.num_units}"
    else:
        totals = np.concatenate([[0], np.cumsum(durations.flat, dtype=np.int64)])
        frames = totals[durations.offsets[1:]] - totals[durations.offsets[:-1]]
        off = np.abs(frames - table["seconds"].to_numpy() * metadata.frame_rate) > FRAME_TOLERANCE
        if off.any():
            row = int(off.argmax())
            problem = f"utterance {table['id'][row]}: durations sum to {frames[row]} frames"
        elif metadata.num_codebooks > 1 and (durations.flat != 1).any():
            problem = "a duration that is not 1, where frames of several codebooks stand one by one"
    if problem is not None:
        raise InputError(
            "a shard's units must be of its codebook and its durations cover each recording",
            f"{path}: {problem}",
            "delete the file and prepare the corpus again",
        )


def unreadable(path: Path | str, error: Exception) -> InputError:
    """What is said of a shard that Arrow cannot read."""
    return InputError(
        "a shard must be a whole Parquet file",
        f"{path}: {error}",
        "delete the file and prepare the corpus again",
    )
