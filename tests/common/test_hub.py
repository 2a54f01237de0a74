"""What cannot be a directory or a hub id is told before anyone asks the network."""

from pathlib import Path

import pytest

from smoltolk.common.errors import NotFoundError
from smoltolk.common.hub import check_place, hub_id


def test_directories_and_hub_ids_pass(tmp_path: Path) -> None:
    for name in (tmp_path, str(tmp_path), "owner/name", "HuggingFaceTB/SmolLM2-135M"):
        check_place(name, "a text model")
    check_place("gpt2", "a text model", owned=False)


@pytest.mark.parametrize("name", ["gpt2", "/no/such", "./here", "~/x", "a/b/c", "", "what is this"])
def test_anything_else_is_told(name: str) -> None:
    with pytest.raises(NotFoundError, match="a text model is a directory, or a hub id"):
        check_place(name, "a text model")


def test_a_path_into_a_directory_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "a.wav").touch()
    for name, found in (("models/late", "no directory models/late"), ("a.wav", "is a file")):
        with pytest.raises(NotFoundError, match=found):
            check_place(name, "a text model", owned=False)


def test_directories_are_no_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_id("some/model") == "some/model" and hub_id("gpt2") == "gpt2"
    assert hub_id("models/small") is None and hub_id(str(tmp_path)) is None
    assert hub_id("") is None and hub_id("../elsewhere") is None and hub_id("a/b/c") is None
