"""What is kept comes back as it was, for its tokenizer and its recording alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoltolk.data.shards.unit_cache import UnitCache, digest_of
from smoltolk.speech.units.tokenizer import Units


@pytest.mark.parametrize("units", [np.array([3, 1, 4]), np.array([[3, 1], [4, 1], [5, 9]])])
def test_kept_units(units: np.ndarray, tmp_path: Path) -> None:
    cache, other = UnitCache("ab" * 32, tmp_path), UnitCache("cd" * 32, tmp_path)
    digest = digest_of(b"a recording")
    assert cache.read(digest) is None
    cache.write(digest, Units(units, np.array([2, 1, 1])))
    found = UnitCache("ab" * 32, tmp_path).read(digest)
    assert found is not None and found.units.dtype == np.int64
    assert np.array_equal(found.units, units) and found.durations.tolist() == [2, 1, 1]
    assert other.read(digest) is None and cache.read(digest_of(b"another")) is None


def test_by_default_it_lies_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path))
    UnitCache("ab").write("ef01", Units(np.array([1]), np.array([1])))
    assert (tmp_path / "units" / "ab" / "ef" / "ef01.npy").is_file()
