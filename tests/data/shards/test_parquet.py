import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.shards.parquet import (
    SCHEMA,
    ShardMetadata,
    ShardWriter,
    UnitCorpus,
    UnitUtterance,
    read_shard_metadata,
    read_shards,
)
from smoltolk.speech.segments import Segment

METADATA = ShardMetadata(frame_rate=25.0, fingerprint="ab12", num_units=40)


def utterance(name: str = "a", durations: tuple[int, ...] = (2, 3, 20), **changes: object) -> UnitUtterance:
    values = UnitUtterance(
        id=name,
        text="Ben naps.",
        words=(Segment("Ben", 0.0, 0.4), Segment("naps.", 0.5, 0.9)),
        units=np.arange(len(durations)) % 40,
        durations=np.array(durations),
        speaker="en-us+f2",
        language="en",
        source="stories",
        seconds=sum(durations) / 25,
    )
    return replace(values, **changes)


def write(path: Path, utterances: list[UnitUtterance], metadata: ShardMetadata = METADATA) -> Path:
    with ShardWriter(path, metadata) as shard:
        for one in utterances:
            shard.add(one)
    return path


def same(one: UnitUtterance, two: UnitUtterance) -> bool:
    plain = ("id", "text", "speaker", "language", "source", "seconds")
    words = [
        (a.text == b.text and np.float32(a.start) == np.float32(b.start) and np.float32(a.end) == np.float32(b.end))
        for a, b in zip(one.words, two.words, strict=True)
    ]
    return (
        all(getattr(one, name) == getattr(two, name) for name in plain)
        and all(words)
        and np.array_equal(one.units, two.units)
        and np.array_equal(one.durations, two.durations)
    )


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def utterances(draw: st.DrawFn) -> UnitUtterance:
    durations = draw(st.lists(st.integers(1, 65535), min_size=1, max_size=9))
    seconds = sum(durations) / METADATA.frame_rate
    times = sorted(seconds * share for share in draw(st.lists(st.floats(0, 1, width=32), max_size=8)))
    return utterance(
        draw(text),
        tuple(durations),
        text=draw(text),
        units=np.array(draw(st.lists(st.integers(0, 39), min_size=len(durations), max_size=len(durations)))),
        words=tuple(Segment(draw(text), s, e) for s, e in zip(times[::2], times[1::2], strict=False)),
        speaker=draw(text),
        source=draw(st.sampled_from(["one", "two"])),
    )


@given(st.lists(st.lists(utterances(), max_size=4), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_what_is_read_is_what_was_written(parts: list[list[UnitUtterance]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        for number, part in enumerate(parts):
            write(Path(directory) / f"part-{number}.parquet", part)
        corpus = read_shards(directory, fingerprint="ab12")
    written = [one for part in parts for one in part]
    assert len(corpus) == len(written) and corpus.metadata == METADATA
    assert all(same(one, two) for one, two in zip(corpus, written, strict=True))
    assert corpus.num_units_each.tolist() == [len(one.units) for one in written]
    assert corpus.num_words_each.tolist() == [len(one.words) for one in written]


def test_columns_give_the_same_as_rows(unit_corpus: UnitCorpus) -> None:
    for index, one in enumerate(unit_corpus):
        texts, starts, ends = unit_corpus.words(index)
        assert texts == [word.text for word in one.words] == unit_corpus.text(index).split()
        assert starts.dtype == ends.dtype == np.float32 and np.all(starts < ends)
        assert unit_corpus.id(index) == one.id and unit_corpus.source(index) == "stories"
        assert unit_corpus.units(index).dtype == unit_corpus.durations(index).dtype == np.uint16
        assert unit_corpus.durations(index).sum() == int(one.seconds * 25)
    assert same(unit_corpus[-1], unit_corpus[len(unit_corpus) - 1])
    with pytest.raises(IndexError):
        unit_corpus[len(unit_corpus)]


def test_a_corpus_travels_to_workers(unit_corpus: UnitCorpus) -> None:
    travelled = pickle.loads(pickle.dumps(unit_corpus))  # noqa: S301 - our own bytes
    assert all(same(one, two) for one, two in zip(travelled, unit_corpus, strict=True))


def test_memory_is_a_few_bytes_a_unit(tmp_path: Path) -> None:
    durations = tuple([2] * 150)
    words = tuple(Segment(f"w{k % 50}", k / 3, k / 3 + 0.2) for k in range(30))
    write(tmp_path / "a.parquet", [utterance(f"u{k:05d}", durations, words=words) for k in range(2000)])
    size = len(pickle.dumps(read_shards(tmp_path)))
    assert size < 2000 * (150 * 4 + 30 * 12 + 150)


def test_other_tools_read_the_schema(shards_dir: Path) -> None:
    path = sorted(shards_dir.glob("*.parquet"))[0]
    assert pq.read_schema(path).equals(SCHEMA, check_metadata=False)
    row = pq.read_table(path).to_pylist()[0]
    assert row["text"].split() == [word["text"] for word in row["words"]]
    assert read_shard_metadata(path).frame_rate == 25


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"units": np.array([], int), "durations": np.array([], int)}, "0 units"),
        ({"units": np.array([1, 2])}, "2 units, 3 durations"),
        ({"units": np.array([1, 2, 40])}, "units from 1 to 40 with a codebook of 40"),
        ({"units": np.array([1, -1, 3])}, "units from -1 to 3"),
        ({"durations": np.array([5, 0, 20])}, "durations from 0 to 20"),
        ({"durations": np.array([5, 1, 70000]), "seconds": 70006 / 25}, "durations from 1 to 70000"),
        ({"seconds": 2.0}, "durations sum to 25 frames, 2.000 s have 50.0"),
        ({"words": (Segment("Ben", 0.5, 0.4),)}, "backwards"),
        ({"words": (Segment("Ben", 0.5, 0.9), Segment("naps", 0.1, 0.2))}, "backwards"),
        ({"words": (Segment("Ben", float("nan"), 0.9),)}, "without a time"),
    ],
)
def test_what_breaks_a_rule_is_not_written(tmp_path: Path, changes: dict[str, object], problem: str) -> None:
    path = tmp_path / "a.parquet"
    with ShardWriter(path, METADATA) as shard:
        shard.add(utterance("good"))
        with pytest.raises(InputError, match=problem) as error:
            shard.add(utterance("bad", **changes))
        assert "'bad'" in str(error.value)
    assert [one.id for one in read_shards(path)] == ["good"]


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path / "a.parquet", METADATA) as shard:
        shard.add(utterance())
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_codebook_is_loud(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [utterance()])
    with pytest.raises(InputError, match="here cd34") as error:
        read_shards(tmp_path, fingerprint="cd34")
    assert "ab12" in str(error.value) and "a.parquet" in str(error.value)
    write(tmp_path / "b.parquet", [utterance()], replace(METADATA, fingerprint="cd34"))
    with pytest.raises(InputError, match=r"b\.parquet was made with cd34"):
        read_shards(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_file_cut_short_is_named(tmp_path: Path, kept: float) -> None:
    path = write(tmp_path / "a.parquet", [utterance(f"u{k}") for k in range(50)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=r"a\.parquet") as error:
        read_shards(tmp_path)
    assert "delete the file" in error.value.fix


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [utterance(f"u{k}") for k in range(50)])
    whole = bytearray(path.read_bytes())
    whole[4:40] = bytes(36)
    path.write_bytes(bytes(whole))
    with pytest.raises(InputError, match=r"a\.parquet"):
        read_shards(tmp_path)


def test_another_schema_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [utterance()])
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    with pytest.raises(InputError, match="version None"):
        read_shards(tmp_path)
    pq.write_table(pq.read_table(path).select(["id", "text"]), path)
    with pytest.raises(InputError, match=r"\['id', 'text'\]"):
        read_shards(tmp_path)


def test_rows_edited_by_hand_are_checked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [utterance("a"), utterance("b")])
    table = pq.read_table(path)
    edited = table.set_column(table.schema.get_field_index("seconds"), "seconds", [[1.0, 9.0]])
    pq.write_table(edited.cast(table.schema), path)
    with pytest.raises(InputError, match="utterance b: durations sum to 25 frames"):
        read_shards(tmp_path)


def test_an_empty_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="prepare"):
        read_shards(tmp_path)


def test_a_shard_without_rows_is_a_shard(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [])
    assert len(read_shards(tmp_path)) == 0
