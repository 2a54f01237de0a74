"""The record of what a command made."""

from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.made import digest_of_file, made_before, record

COMMAND = {"verb": "units fit", "recipe": {"steps": [3, 4]}, "seed": 0}


def test_nothing_yet(tmp_path: Path) -> None:
    assert made_before(tmp_path / "new", COMMAND) is None
    assert made_before(tmp_path, COMMAND) is None


def test_the_same_command_gets_its_figures(tmp_path: Path) -> None:
    record(tmp_path, COMMAND, {"purity": 0.5})
    assert made_before(tmp_path, {**COMMAND}) == {"purity": 0.5}


def test_another_command_is_told_what_differs(tmp_path: Path) -> None:
    record(tmp_path, COMMAND, {})
    with pytest.raises(InputError, match=r"recipe\.steps\.1 was 4, is 5"):
        made_before(tmp_path, {**COMMAND, "recipe": {"steps": [3, 5]}})
    options = {"recipe.steps.*": "--steps"}
    with pytest.raises(InputError, match=r"one: --steps \(recipe\.steps\.0 was 3, is 6\); seed was 0, is 1\n"):
        made_before(tmp_path, {**COMMAND, "recipe": {"steps": [6, 5]}, "seed": 1}, options)
    with pytest.raises(InputError, match="another one: verb was 'units fit', is 'world'\n"):
        made_before(tmp_path, {"verb": "world"})


def test_other_things_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        made_before(tmp_path, COMMAND)
    with pytest.raises(InputError, match="is a file"):
        made_before(tmp_path / "thesis.tex", COMMAND)


def test_digest_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("one")
    (tmp_path / "c").write_text("two")
    assert digest_of_file(tmp_path / "a") == digest_of_file(tmp_path / "b") != digest_of_file(tmp_path / "c")
