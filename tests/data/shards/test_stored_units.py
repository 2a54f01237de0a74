from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitUtterance, read_shards
from smoltolk.data.shards.shard_set import look_over
from smoltolk.data.shards.stored_units import StoredUnits
from smoltolk.speech.segments import Segment


@pytest.fixture(scope="module", params=[1, 3])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row groups of 1000, 200, none, and 7 utterances, of one codebook or of three."""
    folder, rng = tmp_path_factory.mktemp("stored"), np.random.default_rng(0)
    metadata = ShardMetadata(25.0, "ab" * 32, 20, num_codebooks=request.param)
    for part, count in enumerate((1200, 0, 7)):
        with ShardWriter(folder / f"part-{part:05d}.parquet", metadata) as writer:
            for number in range(count):
                length = int(rng.integers(1, 6))
                units = rng.integers(0, 20, (length, request.param) if request.param > 1 else length)
                words = tuple(Segment(f"w{k}", k / 25, (k + 1) / 25) for k in range(length - 1))
                text, source = " ".join(word.text for word in words), "ab"[number % 2]
                name, frames = f"{part}-{number}", np.ones(length, int)
                writer.add(UnitUtterance(name, text, words, units, frames, "s", "en", source, length / 25))
    return folder


def test_one_utterance_is_what_reading_all_gives(directory: Path) -> None:
    stored, whole = StoredUnits(look_over(directory)), read_shards(directory)
    assert len(stored) == len(whole) == 1207 and stored.metadata == whole.metadata
    assert np.array_equal(stored.seconds, whole.seconds)
    assert [stored.source_names[code] for code in stored.source_codes] == [whole.source(k) for k in range(len(whole))]
    for index in (1206, 0, 999, 1000, 1199, 1200, *range(990, 1010)):
        assert (stored.id(index), stored.text(index)) == (whole.id(index), whole.text(index))
        assert np.array_equal(stored.units(index), whole.units(index))
        assert np.array_equal(stored.durations(index), whole.durations(index))
        assert stored.words(index)[0] == whole.words(index)[0]
        assert all(np.array_equal(a, b) for a, b in zip(stored.words(index)[1:], whole.words(index)[1:], strict=True))
    for index in (-1, 1207):
        with pytest.raises(IndexError, match="of 1207"):
            stored.id(index)


def test_a_damaged_page_is_named_when_it_is_read(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    data = bytearray((directory / "part-00002.parquet").read_bytes())
    data[40] ^= 0xFF
    path.write_bytes(bytes(data))
    stored = StoredUnits(look_over(path))
    with pytest.raises(InputError, match="whole Parquet file"):
        stored.id(3)
