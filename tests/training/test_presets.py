"""Presets have the published figures, and their sizes change without changing their shape."""

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.interleave import SpanLengths
from smoltolk.quickstart.scales import SCALES
from smoltolk.training.presets import PRESETS, adjust, parse_mixture, parse_spans, preset_for, preset_named


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
    assert preset.recipe == scale.speech
    assert preset.num_input_layers == scale.num_input_layers
    assert preset.num_output_layers == scale.num_output_layers


def test_the_preset_follows_the_size_of_the_text_model() -> None:
    sizes = {"small": 0.8e6, "150m": 135e6, "400m": 360e6, "2b": 1.7e9}
    assert {name: preset_for(int(size)).name for name, size in sizes.items()} == {name: name for name in PRESETS}
    assert preset_for(70_000_000_000).name == "2b"


def test_fewer_steps_keep_the_shares() -> None:
    small = preset_named("small").recipe
    recipe = adjust(small, steps=small.stages[0].num_steps)
    for before, stage in zip(small.stages, recipe.stages, strict=True):
        for name in ("num_steps", "warmup_steps", "decay_steps"):
            share = small.stages[0].num_steps / sum(one.num_steps for one in small.stages)
            assert getattr(stage, name) == pytest.approx(share * getattr(before, name), abs=1)
    assert sum(stage.num_steps for stage in recipe.stages) == small.stages[0].num_steps
    assert [stage.num_steps for stage in adjust(recipe, steps=2).stages] == [1, 1]


def test_more_steps_do_not_lengthen_the_warm_up() -> None:
    stage = adjust(preset_named("150m").recipe, steps=210_000).stages[1]
    assert (stage.num_steps, stage.warmup_steps) == (200_000, 100)


def test_rates_rows_and_tasks_change_alone() -> None:
    recipe = preset_named("150m").recipe
    mixture = {"speech": 1.0, "recognition": 0.5}
    changed = adjust(recipe, row_length=512, rows_per_step=8, rates={"stage2": 1e-4}, mixture=mixture)
    assert (changed.row_length, changed.rows_per_step) == (512, 8)
    assert changed.stages[0] == recipe.stages[0]
    assert (changed.stages[1].learning_rate, changed.stages[1].mixture) == (1e-4, mixture)
    assert adjust(recipe) == recipe


@pytest.mark.parametrize(
    "changes", [{"steps": 0}, {"steps": 1}, {"row_length": 0}, {"rows_per_step": -1}, {"rates": {"stage2": 0.0}},
                {"rates": {"stage3": 1.0}}],
)  # fmt: skip
def test_bad_changes(changes: dict) -> None:
    with pytest.raises(InputError):
        adjust(preset_named("small").recipe, **changes)


def test_mixtures_are_parsed() -> None:
    assert parse_mixture("speech=1, recognition=.5,text=0") == {"speech": 1.0, "recognition": 0.5}
    for text in ("speech", "speech=much", "singing=1", "speech=-1", "speech=nan", "", "speech=0"):
        with pytest.raises(InputError, match="mixture"):
            parse_mixture(text)


def test_unknown_preset() -> None:
    with pytest.raises(InputError, match="small, 150m, 400m, 2b"):
        preset_named("7b")


def test_spans_are_parsed() -> None:
    assert parse_spans("2-6, 3-4") == SpanLengths(text=(2, 6), speech=(3, 4))
    for text in ("2-6", "6-2,1-1", "a-b,1-2", "0-1,1-1"):
        with pytest.raises(InputError):
            parse_spans(text)
