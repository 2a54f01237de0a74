"""The words of ``smoltolk train`` as a tree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError
from smoltolk.training.changes import Changes
from smoltolk.training.presets import preset_named
from smoltolk.training.recipes.command import recipe_of_words
from smoltolk.training.recipes.presets import smoltolk_400m
from smoltolk.training.recipes.yaml_files import to_yaml
from smoltolk.training.tuning.settings import LoraSettings


def test_a_recipe_and_what_is_changed_of_it() -> None:
    tree = recipe_of_words(
        ["smoltolk-400m", "data.shards=some/shards", "model.layer_mix=static", "stages.1.learning_rate=1e-4",
         "stages.stage1.mixture.text=2", "stages.1.factors={backbone: 0.1}", "tuning.lora.r=8",
         "data.spans.text=[2, 6]", "hardware.rows_per_device=auto", "model.text_model=null", "out=s3://a/b=c"]
    )  # fmt: skip
    base = smoltolk_400m()
    assert tree.data == replace(base.data, shards="some/shards", spans=replace(base.data.spans, text=(2, 6)))
    assert tree.model == replace(base.model, layer_mix="static", text_model=None)
    assert tree.stages[0] == replace(base.stages[0], mixture={"interleaved": 1.0, "text": 2.0})
    assert tree.stages[1] == replace(base.stages[1], learning_rate=1e-4, factors={"backbone": 0.1})
    assert tree.tuning.lora == LoraSettings(r=8)
    assert (tree.hardware.rows_per_device, tree.out) == ("auto", "s3://a/b=c")


def test_the_positional_form_is_a_tree_too(backbone: Path) -> None:
    changes = Changes(steps=100, rates={"stage2": 1e-5}, predict_switch=True)
    options = {"model.system": "early", "data.text": None}
    tree = recipe_of_words(
        [str(backbone), "shards", "out", "seed=3"], changes=changes, options=options
    )  # fmt: skip
    small = preset_named("small")
    assert tree.recipe() == changes.apply(small.recipe)
    assert (tree.model.text_model, tree.data.shards, tree.out, tree.seed) == (str(backbone), "shards", "out", 3)
    assert (tree.model.system, tree.model.num_output_layers) == ("early", small.num_output_layers)
    assert recipe_of_words([str(backbone), "shards", "out"], preset="2b").stages == preset_named("2b").recipe.stages


def test_options_change_a_recipe_as_words_do(tmp_path: Path) -> None:
    tree = recipe_of_words(
        ["smoltolk-400m"], changes=Changes(row_length=512), options={"model.system": "early", "seed": 0}
    )
    assert (tree.data.row_length, tree.model.system, tree.stages) == (512, "early", smoltolk_400m().stages)
    (tmp_path / "recipe.yaml").write_text(to_yaml(tree), encoding="utf-8")
    assert recipe_of_words([], model=tmp_path) == tree
    assert recipe_of_words(["seed=4"], model=tmp_path) == replace(tree, seed=4)


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [
        (["smoltolk-400n"], {}, "did you mean smoltolk-400m"),
        (["backbone", "shards"], {}, "told by a recipe"),
        ([], {}, "told by a recipe"),
        (["smoltolk-400m", "shards", "out"], {}, "told by a recipe"),
        (["smoltolk-400m"], {"model": Path("model")}, "told by a recipe"),
        (["smoltolk-400m"], {"preset": "small"}, "--preset belongs"),
        (["smoltolk-400m", "seed=1", "seed=2"], {}, "given once"),
        (["smoltolk-400m", "seed=1"], {"options": {"seed": 1}}, "given once"),
        (["smoltolk-400m", "data=1", "data.shards=x"], {}, "given once"),
        (["smoltolk-400m", "model.layer_mx=static"], {}, r"did you mean model\.layer_mix\?"),
        (["smoltolk-400m", "learning_rate=1"], {}, r"did you mean stages\.0\.learning_rate\?"),
        (["smoltolk-400m", "stages.2.num_steps=1"], {}, "stages are 0, 1, or by name stage1, stage2"),
        (["smoltolk-400m", "stages.0.num_steps=1.5"], {}, r"stages\.0\.num_steps is a whole number"),
        (["smoltolk-400m", "model.layer_mix=all"], {}, "one of last, fixed, static, dynamic"),
        (["smoltolk-400m", "data.shards=[1"], {}, "written as in YAML"),
        (["smoltolk-400m", "data.text=${bad"], {}, "written as in YAML"),
        (["smoltolk-400m", "seed=-1"], {}, "a seed lies between"),
        (["smoltolk-400m", "stages.1.learning_rate=.nan"], {}, "learning rate must be above 0"),
        (["smoltolk-400m", "stages.1.warmup_steps=-4"], {}, "must fit into its steps"),
        (["smoltolk-400m", "stages.1.mixture={singing: 1}"], {}, "singing = 1"),
        (["smoltolk-400m", "stages.1.mixture={speech: -1, text: 1}"], {}, "speech = -1"),
        (["smoltolk-400m", "stages.1.mixture={}"], {}, "a stage has tasks"),
        (["smoltolk-400m", "optimisation.betas=[0.9, 1.5]"], {}, "two betas"),
        (["smoltolk-400m", "data.prompted_length=0"], {}, "prompted_length must be 1 or more"),
        (["smoltolk-400m", "modl.layer_mix=static"], {}, r"did you mean model\?"),
        (["smoltolk-400m", "hardware.device=mps"], {}, "mps, Apple's GPU, where not all"),
    ],
)
def test_words_that_say_no_training(words: list[str], more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe_of_words(words, **more)
