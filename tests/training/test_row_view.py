"""A row that is looked at is the row that a model is trained on, whatever the options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.training.changes import Changes
from smoltolk.training.job import TrainingJob
from smoltolk.training.presets import preset_named
from smoltolk.training.recipes.positional import positional_recipe
from smoltolk.training.row_view import training_rows
from smoltolk.training.rows import stage_named
from smoltolk.training.systems import num_parameters, size_of

CHANGES = Changes(
    row_length=160,
    mixture={"speech": 1.0, "text": 1.0, "recognition": 1.0},
    speech_mixture={"interleaved": 1.0, "synthesis": 0.5},
    spans=SpanLengths((1, 3), (1, 2)),
    predict_switch=True,
)


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
@pytest.mark.parametrize(
    "options", [{}, {"seed": 3, "preset": "150m", "changes": CHANGES}, {"text": True, "index": True}]
)
def test_row_i_is_row_i(
    backbone: Path, shards_dir: Path, text: Path, tmp_path: Path, stage: str, options: dict[str, Any]
) -> None:
    places = {"text": text, "index": tmp_path / "index"}
    given = {name: places.get(name, value) for name, value in options.items()}
    run = TrainingJob(positional_recipe(str(backbone), shards_dir, tmp_path / "out", **given)).plan()
    trained = run.rows(stage_named(run.recipe, stage), run.build())
    looked = training_rows(shards_dir, stage=stage, text_model=str(backbone), **given)
    assert looked.recipe == replace(run.recipe, bf16=None) and looked.source.space == trained.space
    for number in (0, 7, 31, 4000):
        one, other = looked.source.row(number), trained.row(number)
        assert np.array_equal(one.input_ids, other.input_ids) and np.array_equal(one.labels, other.labels)
        assert one.pieces == other.pieces


def test_without_a_text_model_rows_have_the_same_pieces_and_a_token_a_word(backbone: Path, shards_dir: Path) -> None:
    spoken = Changes(mixture={"speech": 1.0})  # its rows depend on no tokenizer
    words = training_rows(shards_dir, stage="stage2", changes=spoken, preset="small")
    tokens = training_rows(shards_dir, stage="stage2", changes=spoken, text_model=str(backbone))
    assert [words.source.row(n).pieces for n in range(9)] == [tokens.source.row(n).pieces for n in range(9)]
    assert training_rows(shards_dir, stage="stage1").recipe == preset_named("150m").recipe


def test_the_size_of_a_text_model_is_known_without_its_weights(backbone: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(backbone)
    assert size_of(AutoConfig.from_pretrained(backbone)) == num_parameters(model)


def test_a_stage_that_there_is_not(shards_dir: Path) -> None:
    with pytest.raises(InputError, match="stage1, stage2"):
        training_rows(shards_dir, stage="stage3")
