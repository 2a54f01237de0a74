"""sWUGGY and sBLIMP of the ZeroSpeech challenge 2021 (sLM21): which of two recordings is a word, or a sentence?

::

    ROOT/lexical/{dev,test}/*.wav      gold.csv: filename, id, voice, correct (frequency, length, ..)
    ROOT/syntactic/{dev,test}/*.wav    gold.csv: filename, id, voice, type, subtype, correct (transcription, ..)

A pair is what shares (id, voice), or (type, subtype, id, voice). Points are averaged over voices, then over pairs;
sBLIMP then over types. A copy of the hub with ``positive`` and ``negative`` is read too; it has no voices and types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import write_text
from smoltolk.evaluation.tasks.items import Item, Segment
from smoltolk.evaluation.tasks.layouts import parquet_files, read_csv, sound_beside
from smoltolk.evaluation.tasks.mirrors import mirror_items
from smoltolk.evaluation.tasks.task import Loaded, Source, Task

STEMS = "stems"  # in the strata of an item: of the recordings of its options


def load_swuggy(source: Source) -> Loaded:
    """Words against nonwords."""
    return _load(source, "swuggy", "lexical", ("id",), ("frequency", "length"))


def load_sblimp(source: Source) -> Loaded:
    """Sentences against ungrammatical ones."""
    return _load(source, "sblimp", "syntactic", ("type", "subtype", "id"), ("type", "subtype"))


def _load(source: Source, task: str, folder: str, keys: Sequence[str], strata: Sequence[str]) -> Loaded:
    root = source.folder(task)
    if not (root / folder).is_dir():
        if parquet_files(root):
            return Loaded(mirror_items(root, "all"), ["a copy without voices and types: every row is a pair"])
        raise NotFoundError(
            f"{task} is a folder with {folder}/{{dev,test}}/gold.csv, or Parquet of positive and negative",
            f"neither in {root}",
            "check --data",
        )
    splits = [name for name in ("dev", "test") if (root / folder / name / "gold.csv").is_file()]
    split = source.split or (splits or ["dev"])[0]
    place = root / folder / split
    rows = read_csv(place / "gold.csv", ("filename", "voice", "correct", *keys))
    return Loaded(_pairs(rows, root, place, keys, strata, f"{folder} {split}"))


def _pairs(
    rows: list[dict[str, str]], root: Path, place: Path, keys: Sequence[str], strata: Sequence[str], cell: str
) -> list[Item]:
    pairs: dict[tuple[str, ...], list[dict[str, str]]] = {}
    seen: set[str] = set()
    for row in rows:
        if row["filename"] in seen:
            found = f"{row['filename']!r} stands twice in {place / 'gold.csv'}"
            raise InputError("a recording stands once in gold.csv", found, "use the table as it was published")
        if not row["filename"] or any(map(str.isspace, row["filename"])):
            found = f"{row['filename']!r} in {place / 'gold.csv'}"
            raise InputError(
                "names of recordings in gold.csv have no spaces", found, "use the table as it was published"
            )
        seen.add(row["filename"])
        pairs.setdefault((*(row[key] for key in keys), row["voice"]), []).append(row)
    items = []
    for key, members in pairs.items():
        if len(members) != 2 or sorted(row["correct"] for row in members) != ["0", "1"]:
            raise InputError(
                f"a pair of {', '.join((*keys, 'voice'))} has one row with correct = 1 and one with correct = 0",
                f"{key}: correct = {', '.join(row['correct'] for row in members)}",
                "use the table as it was published",
            )
        stems = [row["filename"].removesuffix(".wav") for row in members]
        options = tuple((Segment(sound=sound_beside(root, (place / f"{s}.wav").relative_to(root))),) for s in stems)
        items.append(
            Item(
                id="/".join(key),
                cell=cell,
                prompts=(),
                options=options,
                right=[row["correct"] for row in members].index("1"),
                question="/".join(key[:-1]),
                strata={name: members[0][name] for name in strata if name in members[0]}
                | {"voice": key[-1], STEMS: " ".join(stems)},
            )
        )
    return items


def write_submission(
    records: Sequence[Mapping[str, Any]], scores: Sequence[Sequence[float]], folder: Path
) -> Path | None:
    """The files that the official ``zrc`` takes: ``FOLDER/lexical/dev.txt``, a stem and a score a line.

    Args:
        records: of one of these tasks, all of them scored.
        scores: for each record those of its options, higher being likelier.
        folder: of the submission.

    Returns:
        The file; None for a copy, which has no stems.
    """
    if not records or STEMS not in records[0]["strata"]:
        return None
    subset, split = records[0]["cell"].split()
    lines = [
        f"{stem} {score!r}\n"
        for record, pair in zip(records, scores, strict=True)
        for stem, score in zip(record["strata"][STEMS].split(" "), pair, strict=True)
    ]
    path = folder / subset / f"{split}.txt"
    write_text(path, "".join(lines))
    return path


SWUGGY = Task(
    "swuggy",
    "words against nonwords (sLM21 lexical)",
    load_swuggy,
    aggregate="by_question",
    folders=("sLM21-dataset", "sLM21", "sWUGGY", "swuggy"),
)
SBLIMP = Task(
    "sblimp",
    "sentences against ungrammatical ones (sLM21 syntactic)",
    load_sblimp,
    aggregate="by_type",
    folders=("sLM21-dataset", "sLM21", "sBLIMP", "sblimp"),
)
