"""Every system and every ablation is a dictionary of settings, and trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.rows.loader import RowCollator
from smoltolk.report.results import COMPARED
from smoltolk.training.stages import run_stage
from smoltolk.training.systems import SETTINGS, num_parameters, settings_of


def test_the_systems_of_the_quick_start_are_among_them() -> None:
    assert set(COMPARED) <= set(SETTINGS)


@pytest.mark.parametrize("system", SETTINGS)
def test_stage_1_leaves_the_text_model_alone_and_stage_2_trains_all(
    system: str, build: Callable, make_recipe: Callable, counting_rows: Callable, tmp_path: Path
) -> None:
    model = build(system)
    rows, collate = counting_rows(model.config.id_space, 32), RowCollator(model.config.id_space)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    for trainable in ("speech", "all"):
        plan = make_recipe(trainable=trainable)
        run_stage(model, plan, plan.stages[0], rows, collate, tmp_path / trainable)
        changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
        everything = trainable == "all" and system != "inserted"
        assert changed == (set(before) if everything else set(model.speech_parameters()))


def test_equal_parameters(build: Callable) -> None:
    size = {system: num_parameters(build(system)) for system in SETTINGS}
    # All that late has more is the selector: L x D weights, L biases, L static weights.
    selector = 2 * 32 + 2 + 2
    assert size["early"] < size["early_plus"] == size["inserted"] == size["late"] - selector == size["last_layer"]
    assert size["late"] == size["no_residual"] == size["static_mix"] + 2 * 32 + 2
    assert size["no_late_fusion"] == size["no_late_fission"] == (size["late"] + size["early"] + selector) // 2
    assert size["patches"] == size["late"] and size["split_top"] == (size["fission_only"] + size["early"]) // 2
    assert size["fusion_only"] + size["fission_only"] == size["early"] + size["early_plus"]


def test_new_layers_stand_where_they_are_named(make_text_model: Callable) -> None:
    config = make_text_model(num_hidden_layers=6).config
    layers = {"num_input_layers": 2, "num_output_layers": 1}
    assert settings_of("early_plus", config, **layers)["new_layers"] == [6, 7, 8]
    assert settings_of("inserted", config, **layers)["new_layers"] == [1, 4, 7]
    assert settings_of("inserted", make_text_model(num_hidden_layers=1).config)["new_layers"] == [0, 1, 2, 3]
    assert settings_of("split_top", config, **layers)["fission_layer"] == 3
    assert settings_of("split_top", make_text_model(num_hidden_layers=2).config)["num_output_layers"] == 1
    assert settings_of("late", config, **layers) == layers


def test_settings_are_a_copy(make_text_model: Callable) -> None:
    config = make_text_model().config
    settings_of("early", config)["layer_mix"] = "static"
    assert settings_of("early", config)["layer_mix"] == "last"


def test_an_unknown_system_is_refused(make_text_model: Callable) -> None:
    with pytest.raises(InputError, match="late, early, early_plus"):
        settings_of("middle", make_text_model().config)
