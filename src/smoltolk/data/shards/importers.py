"""Data prepared by others -> shards, part after part; a second run continues where the first stopped."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import remove_leftovers, write_jsonl
from smoltolk.common.lock import hold
from smoltolk.common.progress import Bar, bar
from smoltolk.data.corpora.corpus import Counts
from smoltolk.data.shards.parquet import ShardWriter
from smoltolk.data.shards.parts import PartFiles, claim_shards, gather
from smoltolk.data.shards.release_files import ReleaseSplit
from smoltolk.data.shards.slamkit_files import SlamkitLines
from smoltolk.data.shards.unit_corpus import ShardMetadata, UnitUtterance

UTTERANCES_PER_PART = 10_000
# (id, how to make the utterance; that raises InputError where it cannot)
Item = tuple[str, Callable[[], UnitUtterance]]


def import_release(
    units_dir: Path | str,
    out_dir: Path | str,
    *,
    split: str,
    text_dir: Path | str | None = None,
    tokenizer: Any = None,
    fingerprint: str | None = None,
    source: str | None = None,
    language: str = "en",
    utterances_per_part: int = UTTERANCES_PER_PART,
) -> Counts:
    """Make shards of one split of the SmolTolk release (format: :mod:`smoltolk.data.shards.release_files`).

    Args:
        units_dir: the directory of ``SPLIT.bin`` and ``meta.pkl`` of the units.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        split: e.g. ``"train"``.
        text_dir, tokenizer: its text tokens, and the transformers tokenizer they were made with.
        fingerprint: of the unit tokenizer here that gives the same units; None: one made of the names of directory
            and codebook, which no tokenizer here has.
        source: name of the corpus; None: that of the directory above.
        language: of its speech.
        utterances_per_part: how many make a shard.

    Raises:
        NotFoundError: a file is missing.
        InputError: files that do not fit each other, or ``out_dir`` holds something else.
    """
    units_dir = Path(units_dir)
    held = ReleaseSplit(units_dir, split, text_dir=None if text_dir is None else Path(text_dir), tokenizer=tokenizer)
    source = source or units_dir.resolve().parent.name
    name = ("release", units_dir.resolve().name, held.num_units, held.frame_rate)
    named = fingerprint or _named(*name, *([held.num_codebooks] if held.num_codebooks > 1 else []))
    metadata = ShardMetadata(held.frame_rate, named, held.num_units, num_codebooks=held.num_codebooks)
    files = [units_dir / f"{split}.{end}" for end in ("bin", "len", "dur")]
    if text_dir is not None:
        files += [Path(text_dir) / f"{split}.{end}" for end in ("bin", "len", "wrds_tms", "wrds_tms_len")]
    wanted = {"release": split, "source": source, "language": language, "files": _sizes(files)}
    items: Iterator[Item] = (
        (held.id(index), partial(held.utterance, index, source=source, language=language)) for index in range(len(held))
    )
    return _write(items, len(held), Path(out_dir), wanted, metadata, utterances_per_part)


def import_slamkit(
    path: Path | str,
    out_dir: Path | str,
    *,
    num_units: int = 500,
    frame_rate: float = 25.0,
    features: Path | str | None = None,
    meta_dir: Path | str | None = None,
    fingerprint: str | None = None,
    source: str | None = None,
    language: str = "en",
    utterances_per_part: int = UTTERANCES_PER_PART,
) -> Counts:
    """Make shards of a file of slamkit (format: :mod:`smoltolk.data.shards.slamkit_files`).

    Args:
        path: ``tokens.jsonl`` or ``features.jsonl``.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        num_units, frame_rate: of the codebook; the file does not say.
        features: where the durations of ``tokens.jsonl`` are; without it every unit counts as one frame, so that
            ``seconds`` are too few.
        meta_dir: texts and word times, a JSON file a recording.
        fingerprint, source, language, utterances_per_part: as in :func:`import_release`.

    Raises:
        NotFoundError: a file is missing.
        InputError: not a single good line, or ``out_dir`` holds something else.
    """
    path = Path(path)
    lines = SlamkitLines(
        path,
        frame_rate=frame_rate,
        features=None if features is None else Path(features),
        meta_dir=None if meta_dir is None else Path(meta_dir),
    )
    source = source or path.resolve().parent.name
    metadata = ShardMetadata(frame_rate, fingerprint or _named("slamkit", source, num_units, frame_rate), num_units)
    files = [path] + ([] if features is None else [Path(features)])
    wanted = {"slamkit": path.name, "source": source, "language": language, "files": _sizes(files)}
    count, num_bad, first_bad = 0, 0, None
    for _, row in lines:
        count += 1
        if isinstance(row, InputError):
            first_bad, num_bad = first_bad or row, num_bad + 1
    if first_bad is not None and num_bad == count:
        raise first_bad  # it is no file of slamkit
    items: Iterator[Item] = (
        (name, partial(lines.utterance, row, source=source, language=language)) for name, row in lines
    )
    return _write(items, count, Path(out_dir), wanted, metadata, utterances_per_part)


def _write(
    items: Iterable[Item],
    count: int,
    out_dir: Path,
    wanted: Mapping[str, object],
    metadata: ShardMetadata,
    per_part: int,
) -> Counts:
    if count == 0:
        raise InputError("there must be something to import", "not a single utterance", "check the file")
    parts = [PartFiles.of(out_dir, number) for number in range(-(-count // per_part))]
    with hold(out_dir):
        claim_shards(out_dir, {**wanted, "per_part": per_part, "tokenizer": asdict(metadata)}, len(parts))
        for directory in (out_dir, out_dir / "rejected"):
            remove_leftovers(directory)
        remaining = iter(items)
        with bar(f"import to {out_dir.name}", count, "utterances") as progress:
            for files in parts:
                batch = itertools.islice(remaining, per_part)
                if files.finished:
                    progress.advance(sum(1 for _ in batch))
                else:
                    _write_part(batch, files, metadata, progress)
        return gather(out_dir, parts, metadata)


def _write_part(items: Iterable[Item], files: PartFiles, metadata: ShardMetadata, progress: Bar) -> None:
    rejected: list[dict[str, str]] = []
    with ShardWriter(files.shard, metadata) as shard:
        for name, make in items:
            try:
                shard.add(make())
            except (InputError, NotFoundError) as error:
                rejected.append({"id": name, "reason": str(error)})
            progress.advance()
        write_jsonl(files.rejected, rejected)


def _sizes(files: Iterable[Path]) -> Mapping[str, int]:
    return {path.name + f" of {path.parent.name}": path.stat().st_size for path in files if path.is_file()}


def _named(*names: str | int | float) -> str:
    """A fingerprint for a codebook that only has a name: equal names are taken for equal units."""
    return hashlib.sha256("\x1f".join(map(str, names)).encode()).hexdigest()
