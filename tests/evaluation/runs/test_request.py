"""Where the files of a task are looked for."""

from __future__ import annotations

from pathlib import Path

from smoltolk.evaluation.runs.request import Request, source_of
from smoltolk.evaluation.tasks.names import TASKS


def place_of(data: dict[str, Path], name: str, folders: tuple[str, ...] | None = None) -> Path | None:
    request = Request("model", [name], Path("out"), data)
    return source_of(request, name, TASKS[name].folders if folders is None else folders).data


def test_a_folder_of_several_tasks_is_not_the_folder_of_one(tmp_path: Path) -> None:
    """Copies on the hub look alike: sBLIMP's rows would be taken for sWUGGY's."""
    assert place_of({"": tmp_path}, "swuggy") == tmp_path
    (tmp_path / "sBLIMP").mkdir()
    assert place_of({"": tmp_path}, "sblimp") == tmp_path / "sBLIMP"
    missing = place_of({"": tmp_path}, "swuggy")
    assert missing is not None and missing.parent == tmp_path and not missing.exists()
    assert place_of({"": tmp_path, "swuggy": tmp_path / "x"}, "swuggy") == tmp_path / "x"
    assert place_of({}, "swuggy") is None
