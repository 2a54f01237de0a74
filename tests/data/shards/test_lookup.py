"""Units of some utterances, found among shards."""

from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.shards.lookup import units_by_id
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter
from smoltolk.data.shards.unit_corpus import UnitCorpus, UnitUtterance


def test_only_those_asked_for(shards_dir: Path, unit_corpus: UnitCorpus) -> None:
    last = len(unit_corpus) - 1
    found = units_by_id(shards_dir, {unit_corpus.id(0), unit_corpus.id(last), "nobody"})
    assert set(found) == {unit_corpus.id(0), unit_corpus.id(last)}
    for index in (0, last):
        one = found[unit_corpus.id(index)]
        assert np.array_equal(one.units, unit_corpus.units(index))
        assert np.array_equal(one.durations, unit_corpus.durations(index))
    with pytest.raises(InputError, match="all units must come from one tokenizer"):
        units_by_id(shards_dir, {"a"}, fingerprint="another")


def test_several_codebooks(tmp_path: Path) -> None:
    metadata = ShardMetadata(12.5, "ab" * 32, 9, num_codebooks=2)
    frames = np.array([[1, 2], [3, 4], [5, 6]], np.uint16)
    utterance = UnitUtterance("a", "", (), frames, np.ones(3, np.uint16), "anna", "en", "made", 0.24)
    with ShardWriter(tmp_path / "part-00000.parquet", metadata) as writer:
        writer.add(utterance)
    assert units_by_id(tmp_path, ["a"])["a"].units.tolist() == frames.tolist()
