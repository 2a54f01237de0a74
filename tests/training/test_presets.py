"""Presets have the published figures, and their sizes change without changing their shape."""

import pytest

from smoltolk.common.errors import InputError
from smoltolk.quickstart.scales import SCALES
from smoltolk.training.presets import PRESETS, preset_for, preset_named


@pytest.mark.parametrize(
    ("name", "text_model", "first", "second"),
    [
        ("150m", "HuggingFaceTB/SmolLM-135M", 3e-3, 3e-4),
        ("400m", "HuggingFaceTB/SmolLM-360M", 3e-3, 3e-4),
        ("2b", "HuggingFaceTB/SmolLM-1.7B", 5e-4, 5e-5),
    ],
)
def test_published_figures(name: str, text_model: str, first: float, second: float) -> None:
    preset = preset_named(name)
    recipe, (stage1, stage2) = preset.recipe, preset.recipe.stages
    assert (preset.text_model, preset.num_input_layers, preset.num_output_layers) == (text_model, 2, 2)
    assert recipe.row_length == 2048 and recipe.row_length * recipe.rows_per_step == 2**20
    assert (recipe.betas, recipe.weight_decay, recipe.max_grad_norm) == ((0.9, 0.95), 0.1, 1.0)
    assert (stage1.trainable, stage1.num_steps, stage1.warmup_steps, stage1.decay_steps) == ("speech", 1000, 100, 200)
    assert (stage1.learning_rate, stage1.mixture) == (first, {"interleaved": 1.0})
    assert (stage2.trainable, stage2.warmup_steps, stage2.decay_steps) == ("all", 100, 0)
    assert (stage2.learning_rate, set(stage2.mixture.values())) == (second, {1.0})
    assert set(stage2.mixture) == {"speech", "text", "interleaved"}


def test_small_is_the_quick_starts() -> None:
    scale, preset = SCALES["small"], preset_named("small")
    assert preset.recipe == scale.speech.recipe()
    assert preset.num_input_layers == scale.speech.model.num_input_layers
    assert preset.num_output_layers == scale.speech.model.num_output_layers


def test_the_preset_follows_the_size_of_the_text_model() -> None:
    sizes = {"small": 0.8e6, "150m": 135e6, "400m": 360e6, "2b": 1.7e9}
    assert {name: preset_for(int(size)).name for name, size in sizes.items()} == {name: name for name in PRESETS}
    assert preset_for(70_000_000_000).name == "2b"


def test_unknown_preset() -> None:
    with pytest.raises(InputError, match="small, 150m, 400m, 2b"):
        preset_named("7b")
