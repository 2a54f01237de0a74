"""Changes of a recipe keep its shape, and are read from a command line."""

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.training.changes import Changes, parse_mixture, parse_spans
from smoltolk.training.presets import preset_named


def test_fewer_steps_keep_the_shares() -> None:
    small = preset_named("small").recipe
    recipe = Changes(steps=small.stages[0].num_steps).apply(small)
    for before, stage in zip(small.stages, recipe.stages, strict=True):
        for name in ("num_steps", "warmup_steps", "decay_steps"):
            share = small.stages[0].num_steps / sum(one.num_steps for one in small.stages)
            assert getattr(stage, name) == pytest.approx(share * getattr(before, name), abs=1)
    assert sum(stage.num_steps for stage in recipe.stages) == small.stages[0].num_steps
    assert [stage.num_steps for stage in Changes(steps=2).apply(recipe).stages] == [1, 1]


def test_more_steps_do_not_lengthen_the_warm_up() -> None:
    stage = Changes(steps=210_000).apply(preset_named("150m").recipe).stages[1]
    assert (stage.num_steps, stage.warmup_steps) == (200_000, 100)


def test_rates_rows_and_tasks_change_alone() -> None:
    recipe = preset_named("150m").recipe
    mixture = {"speech": 1.0, "recognition": 0.5}
    changed = Changes(row_length=512, rows_per_step=8, rates={"stage2": 1e-4}, mixture=mixture).apply(recipe)
    assert (changed.row_length, changed.rows_per_step) == (512, 8)
    assert changed.stages[0] == recipe.stages[0]
    assert (changed.stages[1].learning_rate, changed.stages[1].mixture) == (1e-4, mixture)
    assert Changes().apply(recipe) == recipe
    without_words = Changes(speech_mixture={"speech": 1.0}).apply(recipe)
    assert [stage.mixture for stage in without_words.stages] == [{"speech": 1.0}, recipe.stages[1].mixture]


@pytest.mark.parametrize(
    "changes", [{"steps": 0}, {"steps": 1}, {"row_length": 0}, {"rows_per_step": -1}, {"rates": {"stage2": 0.0}},
                {"rates": {"stage3": 1.0}}],
)  # fmt: skip
def test_bad_changes(changes: dict) -> None:
    with pytest.raises(InputError):
        Changes(**changes).apply(preset_named("small").recipe)


def test_mixtures_are_parsed() -> None:
    assert parse_mixture("speech=1, recognition=.5,text=0") == {"speech": 1.0, "recognition": 0.5}
    for text in ("speech", "speech=much", "singing=1", "speech=-1", "speech=nan", "", "speech=0"):
        with pytest.raises(InputError, match="mixture"):
            parse_mixture(text)


def test_spans_are_parsed() -> None:
    assert parse_spans("2-6, 3-4") == SpanLengths(text=(2, 6), speech=(3, 4))
    for text in ("2-6", "6-2,1-1", "a-b,1-2", "0-1,1-1"):
        with pytest.raises(InputError):
            parse_spans(text)
