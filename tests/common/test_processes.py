"""What a launcher says about its processes is believed."""

import pytest

from smoltolk.common.processes import is_main, num_processes


def test_alone_and_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (is_main(), num_processes()) == (True, 1)
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        assert (is_main(), num_processes()) == (rank == 0, 3)
