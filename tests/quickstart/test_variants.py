"""Every variant is a model that can be built, and a recipe; steps scale in proportion."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.quickstart.variants import FIRST, IN_TURN, VARIANTS, variant_named
from smoltolk.training.presets import small_recipe
from smoltolk.training.systems import num_parameters, settings_of

RECIPE = small_recipe(250, 1750, 3e-3)


def build(name: str) -> SmolTolkForCausalLM:
    variant = variant_named(name)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    text_model = LlamaForCausalLM(LlamaConfig(vocab_size=50, eos_token_id=0, tie_word_embeddings=True, **sizes))
    made = settings_of(variant.system, text_model.config, num_input_layers=2, num_output_layers=1)
    settings = made | variant.settings(text_model.config)
    return SmolTolkForCausalLM.from_text_model(text_model, num_units=10, eos_text_id=0, **settings)


@pytest.fixture(scope="module")
def models() -> dict[str, SmolTolkForCausalLM]:
    return {variant.name: build(variant.name) for variant in VARIANTS}


def test_every_variant_reads_and_differs_from_late(models):
    for name, model in models.items():
        space = model.config.id_space
        speech = torch.arange(space.speech_offset, space.speech_offset + 5)
        ids = torch.cat([torch.arange(1, 5), torch.tensor([space.switch]), speech])[None]
        assert model(input_ids=ids).logits.isfinite().any(), name
        same_model = model.config.to_dict() == models["late"].config.to_dict()
        assert same_model == (name in ("late", "single_stage"))


def test_what_is_taken_away(models):
    size = {name: num_parameters(model) for name, model in models.items()}
    selector = 4 * 32 + 4 + 4  # L x D weights, L biases, L static weights
    assert size["neither"] == size["early"] + selector
    assert models["neither"].config.layer_mix == "dynamic" and models["neither"].config.speech_residual
    assert models["no_entropy"].config.entropy_weight == 0 < models["late"].config.entropy_weight
    assert size["no_entropy"] == size["single_stage"] == size["late"]
    narrow = models["narrow"].config
    assert (narrow.input_width, narrow.output_width, narrow.hidden_size) == (16, 16, 32)
    assert narrow.input_adapter_size["num_attention_heads"] == 2 and not narrow.speech_residual
    assert size["early"] < size["narrow"] < size["late"]


def test_names_are_unique_and_the_order_of_work_has_all():
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names) == len({variant.title for variant in VARIANTS})
    assert IN_TURN[: len(FIRST)] == FIRST and set(IN_TURN) == set(names)
    for variant in VARIANTS:  # what another one is measured by is worked on before it
        assert all(IN_TURN.index(name) < IN_TURN.index(variant.name) for name in variant.same_compute or ())


def test_an_unknown_variant_is_refused():
    with pytest.raises(InputError, match="late, early, early_plus"):
        variant_named("middle")


def test_longer_is_three_times_as_long():
    long = variant_named("early_long").change(RECIPE)
    assert [stage.num_steps for stage in long.stages] == [3 * stage.num_steps for stage in RECIPE.stages]
    assert [stage.decay_steps for stage in long.stages] == [3 * stage.decay_steps for stage in RECIPE.stages]
