"""Files of torch.save: read whole or refused with a reason, and never run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.common.checkpoint_files import read_torch
from smoltolk.common.errors import InputError, NotFoundError


class Code:
    ran = False

    def __reduce__(self) -> tuple:
        return setattr, (Code, "ran", True)


def test_plain_data_is_read(tmp_path: Path) -> None:
    torch.save({"weights": torch.arange(3), "args": {"names": ["a"], "rate": 0.5, "none": None}}, tmp_path / "a.pt")
    read = read_torch(tmp_path / "a.pt")
    assert torch.equal(read["weights"], torch.arange(3))
    assert read["args"] == {"names": ["a"], "rate": 0.5, "none": None}


def test_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"weights": Code()}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"plain data(.|\n)*a\.pt(.|\n)*do as I say"):
        read_torch(tmp_path / "a.pt", fix="do as I say")
    assert not Code.ran


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"a\.pt"):
        read_torch(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_damage_of_any_kind_is_told(zipped: bool, tmp_path: Path) -> None:
    torch.save({"w": torch.arange(3.0), "a": [1, "b"]}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    whole, random, refused = (tmp_path / "a.pt").read_bytes(), np.random.default_rng(0), 0
    for count in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        places = random.integers(min(len(damaged), 500), size=6)
        damaged[places] = random.integers(256, size=len(places))
        cut = len(damaged) if count % 3 else random.integers(len(damaged))
        (tmp_path / "b.pt").write_bytes(damaged[:cut].tobytes())
        try:
            read_torch(tmp_path / "b.pt")
        except InputError as error:
            refused += 1
            assert "b.pt" in error.found
    assert refused > 75
