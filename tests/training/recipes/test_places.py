"""What a run names must be there before anything large is loaded: places, and packages of extras."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError
from smoltolk.training.recipes.binding import changed
from smoltolk.training.recipes.places import check_there, named_places
from smoltolk.training.recipes.presets import small
from smoltolk.training.recipes.tree import RunRecipe


@pytest.fixture
def tree(backbone: Path, shards_dir: Path, tmp_path: Path) -> RunRecipe:
    places = {"model": {"text_model": str(backbone)}, "data": {"shards": str(shards_dir)}}
    return changed(small(), places | {"out": str(tmp_path / "model")})


def test_what_is_there_passes(tree: RunRecipe) -> None:
    check_there(tree)
    check_there(changed(tree, {"logging": {"loggers": ["none"]}}))


def test_all_that_is_not_named_is_told_at_once() -> None:
    with pytest.raises(InputError, match=r"model\.text_model, data\.shards, out"):
        named_places(small())


@pytest.mark.parametrize(
    ("room", "name"),
    [("model", "text_model"), ("data", "shards"), ("data", "text"), ("data", "units"), ("logging", "vocoder")],
)
def test_a_place_where_nothing_is(room: str, name: str, tree: RunRecipe, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        check_there(changed(tree, {room: {name: str(tmp_path / "nowhere.txt")}}))


@pytest.mark.parametrize(
    ("change", "package", "extra"),
    [
        ({"logging": {"loggers": ["tensorboard", "wandb"]}}, "wandb", "wandb"),
        ({"logging": {"loggers": ["trackio"]}}, "trackio", "trackio"),
        ({"tuning": {"lora": {"r": 4}}}, "peft", "lora"),
    ],
)
def test_an_extra_that_is_not_installed(
    change: dict[str, Any], package: str, extra: str, tree: RunRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"{package}.*\n.*\n.*smoltolk\[{extra}\]"):
        check_there(changed(tree, change))
    check_there(tree)  # TensorBoard is the default, and may be missing
