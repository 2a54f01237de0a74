from __future__ import annotations

from pathlib import Path

import pytest

from smoltolk.common.hub import hub_id


def test_directories_are_no_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_id("some/model") == "some/model" and hub_id("gpt2") == "gpt2"
    assert hub_id("models/small") is None and hub_id(str(tmp_path)) is None
    assert hub_id("") is None and hub_id("../elsewhere") is None and hub_id("a/b/c") is None
