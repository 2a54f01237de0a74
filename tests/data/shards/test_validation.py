from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smoltolk.data.shards.parquet import SCHEMA, ShardMetadata, ShardWriter, UnitUtterance, schema_for
from smoltolk.data.shards.validation import problems_in, validate_shards
from smoltolk.speech.segments import Segment

METADATA = ShardMetadata(25.0, "ab" * 32, 20)
GOOD = UnitUtterance(
    "a", "a cat.", (Segment("a", 0.0, 0.4), Segment("cat.", 0.6, 1.0)), np.arange(5), np.full(5, 5), "s", "en", "x", 1.0
)


def write(path: Path, ids: str, metadata: ShardMetadata = METADATA) -> None:
    with ShardWriter(path, metadata) as writer:
        for name in ids:
            writer.add(replace(GOOD, id=name))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write(tmp_path / "shards" / "part-00000.parquet", "ab")
    write(tmp_path / "shards" / "part-00001.parquet", "cde")
    return tmp_path / "shards"


def problems(directory: Path, **options: object) -> dict[str, tuple[str, ...]]:
    return {one.name: one.problems for one in validate_shards(directory, **options) if one.problems}  # type: ignore[arg-type]


def test_good_shards_are_counted(shards: Path) -> None:
    first, second = validate_shards(shards, fingerprint=METADATA.fingerprint)
    assert (first.num_utterances, first.num_words, first.num_units, first.seconds) == (2, 4, 10, 2.0)
    assert second.num_utterances == 3 and not first.problems and not second.problems


def test_a_truncated_and_a_damaged_file_are_named(shards: Path) -> None:
    data = (shards / "part-00000.parquet").read_bytes()
    (shards / "part-00000.parquet").write_bytes(data[: len(data) // 2])
    whole = bytearray((shards / "part-00001.parquet").read_bytes())
    whole[40] ^= 0xFF  # inside the first page
    (shards / "part-00001.parquet").write_bytes(bytes(whole))
    (shards / "part-00002.parquet").write_bytes(b"")
    found = problems(shards)
    assert set(found) == {"part-00000.parquet", "part-00001.parquet", "part-00002.parquet"}
    assert "cut short or damaged" in found["part-00001.parquet"][0]


def test_units_of_two_codebooks_are_told_apart(shards: Path) -> None:
    write(shards / "part-00002.parquet", "f", replace(METADATA, fingerprint="cd" * 32))
    write(shards / "part-00003.parquet", "g", replace(METADATA, frame_rate=24.0))
    found = problems(shards)
    assert set(found) == {"part-00002.parquet", "part-00003.parquet"}
    assert "must not be mixed" in found["part-00002.parquet"][0] and "24 Hz" in found["part-00003.parquet"][0]
    assert len(problems(shards, fingerprint="ef" * 32)) == 4


def test_ids_that_occur_twice_and_missing_parts_are_named(shards: Path) -> None:
    write(shards / "part-00003.parquet", "fb")
    assert problems(shards) == {
        "part-00002.parquet": ("it is missing",),
        "part-00003.parquet": ("the id 'b' is already in part-00000.parquet",),
    }


def test_another_schema_is_named(shards: Path) -> None:
    table = pq.read_table(shards / "part-00000.parquet")
    pq.write_table(table.drop_columns(["speaker"]), shards / "part-00000.parquet")
    old = {b"smoltolk": table.schema.metadata[b"smoltolk"].replace(b'"schema_version": 1', b'"schema_version": 0')}
    pq.write_table(table.replace_schema_metadata(old), shards / "part-00001.parquet")
    found = problems(shards)
    assert "columns" in found["part-00000.parquet"][0] and "version 0" in found["part-00001.parquet"][0]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"units": np.arange(5) + 16}, "units outside the codebook of 20"),
        ({"durations": np.array([5, 5, 5, 5, 9])}, "do not sum"),
        ({"durations": np.array([5, 5, 5, 10, 0])}, "below one frame"),
        ({"durations": np.array([5, 20])}, "differ in number"),
        ({"units": np.zeros(0), "durations": np.zeros(0)}, "no units"),
        ({"seconds": float("nan")}, "no time"),
        ({"words": (Segment("cat", 0.6, 1.0), Segment("a", 0.0, 0.4))}, "words out of order"),
        ({"words": (Segment("cat", 0.6, 0.5),)}, "words out of order"),
        ({"words": (Segment("cat", 0.6, 1.5),)}, "words outside the recording"),
        ({"words": (Segment("cat", float("nan"), 0.5),)}, "words without a time"),
    ],
)
def test_every_rule_is_checked(changes: dict, rule: str) -> None:
    rows = [GOOD, replace(GOOD, id="bad", **changes), replace(GOOD, id="c")]
    table = pa.table(
        {
            "id": [row.id for row in rows],
            "text": [row.text for row in rows],
            "words": [[{"text": w.text, "start": w.start, "end": w.end} for w in row.words] for row in rows],
            "units": [np.asarray(row.units, np.uint16) for row in rows],
            "durations": [np.asarray(row.durations, np.uint16) for row in rows],
            **{name: [getattr(row, name) for row in rows] for name in ("speaker", "language", "source", "seconds")},
        },
        schema=SCHEMA,
    )
    found = problems_in(table, METADATA)
    assert any(rule in one and "1 utterances, first 'bad'" in one for one in found), found
    assert problems_in(table.take([0, 2]), METADATA) == []


def test_empty_cells_are_named() -> None:
    rows = [None] * 2
    table = pa.table({name: pa.array(rows, SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)
    assert "empty cells" in problems_in(table, METADATA)[0]


def test_holes_in_lists_are_named() -> None:
    held = {name: [getattr(GOOD, name)] for name in ("id", "text", "speaker", "language", "source", "seconds")}
    words = [[{"text": "a", "start": 0.0, "end": 0.4}]]
    for name in ("units", "durations"):
        lists = {"units": [[1, 2]], "durations": [[20, 5]], name: [[1, None]]}
        table = pa.table({**held, "words": words, **lists}, schema=schema_for(1))
        assert problems_in(table, METADATA) == [f"empty places in the lists of {name}"]
    for hole in (None, [1, None, 2]):
        table = pa.table({**held, "words": words, "units": [[[1, 2, 3], hole]], "durations": [[1, 1]]}, schema_for(3))
        assert problems_in(table, replace(METADATA, num_codebooks=3)) == ["empty places in the lists of units"]


CODEC = replace(METADATA, num_codebooks=3)
FRAMES = replace(GOOD, units=np.arange(75).reshape(25, 3) % 20, durations=np.ones(25, int))


def test_frames_of_several_codebooks_are_good(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "part-00000.parquet", CODEC) as writer:
        for name in "ab":
            writer.add(replace(FRAMES, id=name))
    (report,) = validate_shards(tmp_path)
    assert (report.num_utterances, report.num_words, report.num_units, report.problems) == (2, 4, 50, ())
    write(tmp_path / "part-00001.parquet", "c")
    (problem,) = problems(tmp_path)["part-00001.parquet"]
    assert "(3 codebooks of 20 units, 25 Hz)" in problem and "(20 units, 25 Hz)" in problem


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        # One unit of a codebook behind the first, in the last frame but one.
        ({"units": np.where(np.arange(75).reshape(25, 3) == 71, 20, FRAMES.units)}, "units outside the codebook of 20"),
        ({"units": FRAMES.units[:13], "durations": np.r_[np.full(12, 2), 1]}, "durations above one frame"),
        ({"units": FRAMES.units[:24]}, "differ in number"),
        ({"units": np.zeros((0, 3), int), "durations": np.zeros(0, int)}, "no units"),
    ],
)
def test_every_rule_of_frames_is_checked(changes: dict, rule: str) -> None:
    rows = [FRAMES, replace(FRAMES, id="bad", **changes), replace(FRAMES, id="c")]
    table = pa.table(
        {
            "id": [row.id for row in rows],
            "text": [row.text for row in rows],
            "words": [[{"text": w.text, "start": w.start, "end": w.end} for w in row.words] for row in rows],
            "units": [row.units.tolist() for row in rows],
            "durations": [row.durations.tolist() for row in rows],
            **{name: [getattr(row, name) for row in rows] for name in ("speaker", "language", "source", "seconds")},
        },
        schema=schema_for(3),
    )
    found = problems_in(table, CODEC)
    assert any(rule in one and "1 utterances, first 'bad'" in one for one in found), found
    assert problems_in(table.take([0, 2]), CODEC) == []


def test_parts_are_held_against_their_corpus(spoken_corpus: Path, shards_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shards_dir, tmp_path / "shards"))
    assert problems(copy, corpus=spoken_corpus) == {}
    (copy / "part-00002.parquet").unlink()
    shutil.copy(copy / "part-00000.parquet", copy / "part-00001.parquet")
    table = pq.read_table(copy / "part-00000.parquet")
    pq.write_table(table.slice(0, 2), copy / "part-00000.parquet")
    found = problems(copy, corpus=spoken_corpus)
    assert "the corpus has 3" in found["part-00000.parquet"][0] and found["part-00002.parquet"] == ("it is missing",)
