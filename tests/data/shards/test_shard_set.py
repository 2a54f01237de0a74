from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitUtterance, read_shards
from smoltolk.data.shards.shard_set import look_over
from smoltolk.speech.segments import Segment

METADATA = ShardMetadata(25.0, "ab" * 32, 20)


def write(path: Path, counts: list[int], metadata: ShardMetadata = METADATA) -> None:
    """Utterances of so many words, a unit and a tenth of a second each, and one more unit."""
    with ShardWriter(path, metadata) as writer:
        for number, count in enumerate(counts):
            words = tuple(Segment("a", k / 10, (k + 1) / 10) for k in range(count))
            units, frames = np.arange(count + 1) % 20, np.full(count + 1, 5)
            text = " ".join("a" * count)
            one = UnitUtterance(f"{path.stem}-{number}", text, words, units, frames, "s", "en", "x", (count + 1) / 5)
            writer.add(one)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path / "shards" / "part-00000.parquet", [1, 2, 3])
    write(tmp_path / "shards" / "part-00001.parquet", [0, 7] * 700)
    return tmp_path / "shards"


def test_shards_are_looked_over_without_reading_them(directory: Path) -> None:
    held, read = look_over(directory, fingerprint=METADATA.fingerprint), read_shards(directory)
    assert (held.num_utterances, held.metadata, held.directory) == (1403, METADATA, directory)
    assert held.seconds == float(read.seconds.sum())
    assert held.num_bytes == sum(path.stat().st_size for path in directory.iterdir())
    assert np.array_equal(held.words_of_some(10_000), read.num_words_each)
    some = held.words_of_some(20)
    assert len(some) <= 20 and set(some.tolist()) <= {0, 1, 2, 3, 7}
    one = look_over(directory / "part-00000.parquet")
    assert (one.num_utterances, one.directory) == (3, directory)


def test_the_digest_tells_other_content_from_the_same(directory: Path, tmp_path: Path) -> None:
    first = look_over(directory).digest()
    assert look_over(directory).digest() == first
    write(directory / "part-00000.parquet", [1, 3, 2])
    second = look_over(directory).digest()
    (directory / "part-00001.parquet").rename(directory / "part-00002.parquet")
    assert len({first, second, look_over(directory).digest()}) == 3


def test_what_does_not_fit_is_refused(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="shards lie in a directory"):
        look_over(tmp_path / "nothing")
    with pytest.raises(InputError, match="one tokenizer"):
        look_over(directory, fingerprint="cd" * 32)
    with ShardWriter(tmp_path / "empty.parquet", METADATA):
        pass
    with pytest.raises(InputError, match="an utterance at least"):
        look_over(tmp_path / "empty.parquet")
    write(directory / "part-00002.parquet", [1], replace(METADATA, num_units=21))
    with pytest.raises(InputError, match="one tokenizer"):
        look_over(directory)
    data = (directory / "part-00001.parquet").read_bytes()
    (directory / "part-00001.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="whole Parquet file"):
        look_over(directory)
