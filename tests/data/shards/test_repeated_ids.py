from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.data.shards import repeated_ids
from smoltolk.data.shards.repeated_ids import SeenIds


def by_dict(files: list[list[str]]) -> dict[str, str]:
    """The same rule with all ids in memory."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for number, ids in enumerate(files):
        for one in ids:
            if one in first:
                found.setdefault(f"{number}.parquet", f"the id {one!r} is already in {first[one]}")
            first.setdefault(one, f"{number}.parquet")
    return found


def seen(directory: Path, files: list[list[str]], per_group: int = 3) -> SeenIds:
    held = SeenIds()
    for number, ids in enumerate(files):
        path = directory / f"{number}.parquet"
        pq.write_table(pa.table({"id": pa.array(ids, pa.string())}), path, row_group_size=per_group)
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                held.add(path, file.read_row_group(group)["id"])
    return held


ids_st = st.lists(st.lists(st.sampled_from([f"id-{n}" for n in range(30)] + [""]), max_size=8), max_size=5)


@given(ids_st, st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_finds_what_a_dictionary_of_all_ids_finds(tmp_path_factory: pytest.TempPathFactory, files, collide) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if collide:  # ids that are different but have one hash
            few = lambda ids: np.array([len(one) for one in ids.to_pylist()], np.int64)  # noqa: E731
            patch.setattr(repeated_ids, "_hashes", few)
        held = seen(tmp_path_factory.mktemp("ids"), files)
        assert held.problems() == by_dict(files)


def test_ids_before_a_damaged_page_are_still_compared(tmp_path: Path) -> None:
    held = SeenIds()
    path = tmp_path / "0.parquet"
    pq.write_table(
        pa.table({"id": [f"id-{n:04d}" for n in range(200)]}), path, row_group_size=100, use_dictionary=False
    )
    with pq.ParquetFile(path) as file:
        held.add(path, file.read_row_group(0)["id"])
        second = file.metadata.row_group(1).column(0).data_page_offset
    whole = bytearray(path.read_bytes())
    whole[second : second + 4] = b"\xff" * 4
    path.write_bytes(bytes(whole))
    other = tmp_path / "1.parquet"
    pq.write_table(pa.table({"id": ["x", "id-0007"]}), other)
    held.add(other, pq.read_table(other)["id"])
    assert held.problems() == {"1.parquet": "the id 'id-0007' is already in 0.parquet"}
