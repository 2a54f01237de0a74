"""A recipe by one word: a preset, a function of one's own, a file of YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.training.recipes.presets import smoltolk_400m
from smoltolk.training.recipes.sources import is_recipe, recipe_named, recipe_of_model
from smoltolk.training.recipes.yaml_files import to_yaml

PYTHON = """
from dataclasses import dataclass, replace
from smoltolk.training.recipes.presets import smoltolk_400m

@dataclass
class Mine:
    seed: int = 7

def my_run():
    return replace(smoltolk_400m(), seed=Mine().seed)

def other(argument):
    return my_run()

def wrong():
    return {}
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    path = tmp_path / "my_runs.py"
    path.write_text(PYTHON, encoding="utf-8")
    return path


def test_words_that_name_recipes() -> None:
    assert all(map(is_recipe, ("smoltolk-400m", "my_runs.py:my_run", "a/run.yaml", "run.yml")))
    assert not any(map(is_recipe, ("backbone", "HuggingFaceTB/SmolLM-135M", "my_runs.py", "./smoltolk-400m")))


def test_a_function_of_ones_own(python: Path) -> None:
    recipe = recipe_named(f"{python}:my_run")
    assert recipe.seed == 7 and recipe.stages == smoltolk_400m().stages


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "no function of that name"), ("other", "needs arguments"), ("wrong", "returned dict"),
     ("Mine", "no function")],
)  # fmt: skip
def test_no_such_function(python: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe_named(f"{python}:{name}")


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def run(:\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1"):
        recipe_named(f"{tmp_path / 'a.py'}:run")
    with pytest.raises(NotFoundError):
        recipe_named(f"{tmp_path / 'b.py'}:run")


def test_yaml_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(smoltolk_400m()), encoding="utf-8")
    assert recipe_named(str(path)) == recipe_of_model(tmp_path) == smoltolk_400m()
    with pytest.raises(NotFoundError, match=r"recipe\.yaml"):
        recipe_of_model(tmp_path / "nothing")


def test_yaml_says_what_is_otherwise_than_its_base(tmp_path: Path, python: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "base: smoltolk-400m\ndata: {shards: shards, text: '${data.shards}/text.txt'}\n"
        "stages: {stage2: {learning_rate: 1e-4, mixture: {speech: 1}}}\n",
        encoding="utf-8",
    )
    recipe, base = recipe_named(str(path)), smoltolk_400m()
    assert recipe.data.text == "shards/text.txt" and recipe.data.row_length == base.data.row_length
    assert recipe.stages[0] == base.stages[0]
    assert (recipe.stages[1].learning_rate, recipe.stages[1].mixture) == (1e-4, {"speech": 1.0})
    path.write_text("base: my_runs.py:my_run\nmodel: {layer_mix: static}\n", encoding="utf-8")
    assert (recipe_named(str(path)).seed, recipe_named(str(path)).model.layer_mix) == (7, "static")


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1, 2", "written in YAML"), ("- a\n- b", "a list"), ("base: 3", "name of a recipe"),
     ("base: smoltolk-400", "did you"),
     ("seed: 1", "needs stages"), ("base: smoltolk-400m\nmodel: {layer_mx: last}", "model.layer_mix"),
     ("base: smoltolk-400m\ndata: {text: '${no.such}'}", "written in YAML")],
)  # fmt: skip
def test_yaml_that_is_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        recipe_named(str(tmp_path / "run.yaml"))
