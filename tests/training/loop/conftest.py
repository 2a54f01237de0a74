"""A run that has not begun, with a loop around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smoltolk.data.rows.index import aligned_shards
from smoltolk.data.shards.shard_set import look_over
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.training.backbone import load_tokenizer
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.opening import open_loop
from smoltolk.training.loop.settings import Logging
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.run import Run
from smoltolk.training.systems import settings_of
from smoltolk.training.workplace import RECORD

BOTH = {"speech": 1.0, "interleaved": 1.0, "text": 1.0}


@pytest.fixture(scope="session")
def run_with(backbone: Path, shards_dir: Path) -> Callable[..., Run]:
    """``run_with(Logging(), work, mixture={"speech": 1.0})``: two stages of six steps of two rows of 96 ids."""

    def make(settings: Logging, work: Path, mixture: dict[str, float] = BOTH, **more: Any) -> Run:
        tokenizer, text_model = load_tokenizer(str(backbone)), load_text_model(str(backbone))
        shards = look_over(shards_dir)
        stages = tuple(
            Stage(
                name=f"stage{number}",
                num_steps=6,
                trainable=trainable,
                learning_rate=1e-3,
                warmup_steps=1,
                mixture=mixture,
            )
            for number, trainable in ((1, "speech"), (2, "all"))
        )
        recipe = Recipe(stages=stages, row_length=96, rows_per_step=2, bf16=False, save_steps=3)
        opened = open_loop(
            settings,
            speech=aligned_shards(shards, tokenizer),
            text=None,
            units=shards.metadata,
            row_length=96,
            tokenizer=tokenizer,
            folder=work / RECORD,
            name="run",
            command={"verb": "train"},
            **more,
        )
        return Run(
            text_model=text_model,
            tokenizer=tokenizer,
            system="late",
            settings=settings_of("late", text_model.config, num_input_layers=1, num_output_layers=1),
            recipe=recipe,
            units=shards.metadata,
            speech=opened.speech,
            text=opened.text,
            hardware=Hardware(autocast=False),
            loop=opened.loop,
        )

    return make
