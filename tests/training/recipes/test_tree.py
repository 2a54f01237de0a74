"""The tree has every setting once, and gives the stages what is theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.training.presets import PRESETS
from smoltolk.training.recipe import Recipe
from smoltolk.training.recipes.tree import ModelSettings, RunRecipe

# What the text model, the units and the trials of from_text_model decide, and what released checkpoints alone have.
_DECIDED = {
    "text_config", "num_units", "num_codebooks", "speech_offset", "begin_prompt_id", "end_prompt_id", "switch_id",
    "eos_text_id", "num_text_ids", "packs_documents", "masks_spans", "published_spans", "text_model_name",
    "unit_fingerprint",
}  # fmt: skip


def test_every_setting_of_the_model_is_there() -> None:
    own = {name for name in SmolTolkConfig.__annotations__ if not name.isupper()} - _DECIDED
    own -= {"model_type", "sub_configs_defaults", "keys_to_ignore_at_inference"}
    assert own == {one.name for one in fields(ModelSettings)} - {"text_model", "system"}


def test_given_settings_stand_over_the_systems(make_text_model: Callable) -> None:
    config = make_text_model().config
    assert ModelSettings(system="early").settings(config)["layer_mix"] == "last"
    given = ModelSettings(system="early", layer_mix="static", new_layers=(1,), entropy_weight=0.0)
    found = given.settings(config)
    assert (found["layer_mix"], found["new_layers"], found["entropy_weight"]) == ("static", [1], 0.0)
    assert "num_input_layers" not in given.given and "predict_switch" not in given.given
    with pytest.raises(InputError, match="early_plus"):
        ModelSettings(system="fusion").settings(config)


def test_a_recipe_comes_back_from_the_tree() -> None:
    for preset in PRESETS.values():
        recipe = replace(
            preset.recipe, row_length=77, betas=(0.1, 0.2), bf16=False, layer_decay=0.9, predict_switch=True,
            spans=SpanLengths(text=(1, 2), speech=(3, 4)), prompted_length=9, save_steps=3, weight_decay=0.5,
            max_grad_norm=2.0, rows_per_step=11,
        )  # fmt: skip
        default = Recipe(stages=recipe.stages)
        assert not [one.name for one in fields(Recipe) if one.name != "stages"
                    and getattr(recipe, one.name) == getattr(default, one.name)]  # fmt: skip
        assert RunRecipe(stages=preset.recipe.stages).with_recipe(recipe).recipe() == recipe


@pytest.mark.parametrize("changes", [{"row_length": 0}, {"rows_per_step": 0}, {"save_steps": 0}])
def test_numbers_that_cannot_be(changes: dict[str, int]) -> None:
    with pytest.raises(InputError, match="1 or more"):
        RunRecipe(stages=PRESETS["small"].recipe.stages).with_recipe(replace(PRESETS["small"].recipe, **changes))


def test_stages_have_names_of_their_own() -> None:
    stage = PRESETS["small"].recipe.stages[0]
    for stages in ((), (stage, stage)):
        with pytest.raises(InputError, match="name of its own"):
            RunRecipe(stages=stages)
