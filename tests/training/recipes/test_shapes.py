"""Shapes without numbers are those of the model that training makes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.recipes.shapes import KNOWN, model_config, parameters_by_group, shapes_of, text_config_of
from smoltolk.training.recipes.tree import ModelSettings
from smoltolk.training.systems import SETTINGS, num_parameters


@pytest.mark.parametrize("system", SETTINGS)
def test_the_same_as_the_model_that_is_trained(system: str, make_text_model: Callable) -> None:
    text_model = make_text_model(num_hidden_layers=3)
    settings = ModelSettings(system=system, num_output_layers=1, predict_switch=True)
    made = SmolTolkForCausalLM.from_text_model(
        text_model, num_units=10, eos_text_id=0, predict_switch=True, **settings.settings(text_model.config)
    )
    shapes = shapes_of(model_config(settings, text_model.config, num_units=10))
    found = {name: parameter.shape for name, parameter in shapes.named_parameters()}
    assert found == {name: parameter.shape for name, parameter in made.named_parameters()}
    assert all(parameter.is_meta for parameter in shapes.parameters())
    differences = {
        name for name, value in made.config.to_dict().items()
        if shapes.config.to_dict()[name] != value and name not in ("text_config", "packs_documents", "masks_spans")
    }  # fmt: skip
    assert not differences
    assert sum(parameters_by_group(shapes).values()) == num_parameters(made)


def test_text_models_of_presets_need_no_hub() -> None:
    sizes = {"HuggingFaceTB/SmolLM-135M": 134_515_008, "HuggingFaceTB/SmolLM-360M": 361_821_120}
    for name, size in sizes.items():
        shapes = shapes_of(model_config(ModelSettings(system="early"), text_config_of(name)))
        counts = parameters_by_group(shapes)
        assert counts["backbone"] + counts["text_tables"] == size
    assert text_config_of("HuggingFaceTB/SmolLM-1.7B") is not KNOWN["HuggingFaceTB/SmolLM-1.7B"]
    with pytest.raises(InputError, match=r"model\.text_model=NAME"):
        text_config_of(None)
