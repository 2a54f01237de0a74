"""Where a training works: what is left beside a whole model goes, what belongs to another command stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from smoltolk.training.workplace import Workplace

COMMAND = {"verb": "train", "seed": 0}


def made(out: Path, command: dict[str, object]) -> Path:
    """A model in place; its work directory, as a kill left it before it was cleared away."""
    place = Workplace(out, command)
    (place.work / "model").mkdir()
    (place.work / "model" / "weights").write_text("w")
    kept = out.with_name("kept")
    shutil.copytree(place.work, kept)
    place.put_in_place({"steps": 1})
    assert not place.work.exists() and (out / "weights").read_text() == "w"
    kept.rename(place.work)
    return place.work


def test_a_kill_before_all_is_cleared_away_leaves_nothing_for_good(tmp_path: Path) -> None:
    work = made(tmp_path / "model", COMMAND)
    assert Workplace(tmp_path / "model", COMMAND).figures == {"steps": 1}
    assert not work.exists() and (tmp_path / "model" / "weights").is_file()


@pytest.mark.parametrize("left", [{"verb": "train", "seed": 1}, None])
def test_what_another_command_left_is_not_touched(left: dict[str, object] | None, tmp_path: Path) -> None:
    work = made(tmp_path / "model", COMMAND)
    if left is None:
        (work / "command.json").unlink()
    else:
        (work / "command.json").write_text(str(left).replace("'", '"'))
    assert Workplace(tmp_path / "model", COMMAND).figures == {"steps": 1}
    assert (work / "model" / "weights").is_file()
