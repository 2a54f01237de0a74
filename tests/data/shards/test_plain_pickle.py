import pickle
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.shards.plain_pickle import read_plain_pickle


class Harmful:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read(tmp_path: Path, protocol: int) -> None:
    value = {"vocab_size": 502, "eos": 500, "frame_rate": 25.0, "name": "é", "more": [1, (2, None), True]}
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps(value, protocol))
    assert read_plain_pickle(tmp_path / "meta.pkl") == value


@pytest.mark.parametrize("value", [Harmful(), np.int64(3), Path("a")])
def test_anything_that_must_be_called_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps({"eos": value}))
    with pytest.raises(InputError, match="plain numbers and strings"):
        read_plain_pickle(tmp_path / "meta.pkl")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("data", [b"", b"\x80", b"no pickle", pickle.dumps({"a": 1})[:-3], b"." * 2_000_000])
def test_damaged_files_are_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "meta.pkl").write_bytes(data)
    with pytest.raises(InputError, match="plain numbers and strings"):
        read_plain_pickle(tmp_path / "meta.pkl")
    with pytest.raises(NotFoundError, match=r"other\.pkl must exist"):
        read_plain_pickle(tmp_path / "other.pkl")
