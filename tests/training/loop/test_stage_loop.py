"""Validation leaves no trace in a training, and the log is that of an undisturbed run however often it is killed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from smoltolk.data.rows.loader import RowCollator
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.held_out import HeldOutRows
from smoltolk.training.loop.keeping import Keeper
from smoltolk.training.loop.log import RunLog
from smoltolk.training.loop.settings import Logging
from smoltolk.training.loop.stage_loop import Measured, StageLoop
from smoltolk.training.stages import run_stage

STEPS_TOLD = [102, 104, 105, 106, 108, 110, 111, 112]
STEPS, TIMES = 12, ("seconds", "ids_per_second", "waited", "rss_gb", "gpu_gb")


class Killed(Exception):
    """Stands for a kill: nothing is cleaned up by the training."""


class Killer(TrainerCallback):
    """Ends a training at a step, before or after it was logged and saved."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise Killed


@pytest.fixture
def train(build: Callable, make_recipe: Callable, counting_rows: type, tmp_path: Path) -> Callable[..., Any]:
    """``train(Logging(eval_steps=3), killed_at=5)``: a model, and the lines of its log."""

    def make(
        settings: Logging | None,
        name: str = "run",
        *,
        killed_at: tuple[int, ...] = (),
        rows_per_device: int = 4,
        **more: Any,
    ) -> tuple[SmolTolkForCausalLM, list[dict[str, Any]]]:
        recipe = make_recipe(STEPS, save_steps=4)
        folder = tmp_path / name
        for kill in (*killed_at, 0):
            model = build()
            space = model.config.id_space
            rows, collate = counting_rows(space, STEPS * 4), RowCollator(space)
            held = {"interleaved": counting_rows(space, 6), "speech": counting_rows(space, 3)}
            callbacks: list[TrainerCallback] = [Killer(kill)] if kill else []
            log = RunLog(folder / "log.jsonl")
            if settings is not None:
                measured = Measured(
                    settings=settings,
                    log=log,
                    keeper=Keeper(folder, settings.best),
                    writers=lambda step: (),
                    rows=HeldOutRows(held, collate, space.speech_offset),
                    **more,
                )
                callbacks.insert(0, StageLoop("s", 100, 4 * 24, measured))
            try:
                run_stage(
                    model, recipe, recipe.stages[0], rows, collate, folder / "s", callbacks=callbacks,
                    hardware=Hardware(autocast=False, rows_per_device=rows_per_device),
                )  # fmt: skip
            except Killed:
                pass
            finally:
                if settings is not None:
                    callbacks[0].close()  # type: ignore[attr-defined]
        return model, list(log)

    return make


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def disturbing(model: Any, step: int) -> dict[str, float]:
    """A measure that draws from every generator, and leaves the model in another mode."""
    torch.rand(3), random.random(), np.random.rand()
    model.train()
    return {"drawn": float(step)}


@pytest.mark.parametrize("rows_per_device", [4, 2])
def test_validation_leaves_no_trace(train: Callable, rows_per_device: int) -> None:
    states = []
    weights = []
    for name, settings in (("without", None), ("with", Logging(eval_steps=2, log_steps=1, loggers=("none",)))):
        torch.manual_seed(7), random.seed(7), np.random.seed(7)
        model, lines = train(
            settings, name, rows_per_device=rows_per_device, **({"measures": [disturbing]} if settings else {})
        )
        weights.append(weights_of(model))
        states.append((torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()))
    assert torch.equal(*weights)
    assert states[0] == states[1]
    held = [line for line in lines if line["kind"] == "held_out"]
    assert [line["step"] for line in held] == [102, 104, 106, 108, 110, 112]
    assert held[-1]["speech_nll"] < held[0]["speech_nll"] and held[0]["drawn"] == 102


@pytest.mark.parametrize("killed_at", [(5,), (9, 6, 11), (4,), (1, 12)])
def test_a_killed_run_has_the_log_and_the_models_of_an_undisturbed_one(
    train: Callable, tmp_path: Path, killed_at: tuple[int, ...]
) -> None:
    settings = Logging(eval_steps=3, log_steps=5, milestones=(106, 111), loggers=("none",))
    whole, expected = train(settings, "whole")
    killed, lines = train(settings, "killed", killed_at=killed_at)
    assert torch.equal(weights_of(whole), weights_of(killed))
    assert without_times(lines) == without_times(expected)
    assert [line["step"] for line in expected if line["kind"] == "train"] == STEPS_TOLD
    for name in ("best", "milestones/000106", "milestones/000111"):
        kept = [SmolTolkForCausalLM.from_pretrained(tmp_path / run / name) for run in ("whole", "killed")]
        assert torch.equal(*map(weights_of, kept))
    held = {line["step"]: line["speech_nll"] for line in expected if line["kind"] == "held_out"}
    told = json.loads((tmp_path / "killed" / "best" / "kept.json").read_text())
    assert told["step"] == min(held, key=held.__getitem__)


def test_what_a_line_tells(train: Callable) -> None:
    _, lines = train(Logging(eval_steps=6, log_steps=4, loggers=("none",), peak_flops=1e9))
    first = next(line for line in lines if line["kind"] == "train")
    parts = [first[f"grad_norm/{name}"] for name in ("backbone", "speech", "text_tables")]
    assert np.hypot.reduce(parts) == pytest.approx(first["grad_norm"], rel=1e-5) and min(parts) > 0
    assert first["ids_per_second"] > 0 and first["rss_gb"] > 0 and 0 <= first["waited"] < 1
    assert first["mfu"] > 0
    held = next(line for line in lines if line["kind"] == "held_out")
    assert {"interleaved/speech_nll", "interleaved/text_nll", "speech/speech_nll", "speech_nll", "text_nll"} <= set(
        held
    )
    assert sum(held["selector_weights"]) == pytest.approx(1) and 0 < held["selector_entropy"] < 1
    both = (6 * held["interleaved/speech_nll"] + 3 * held["speech/speech_nll"]) / 9  # as many units in every row
    assert held["speech_nll"] == pytest.approx(both)
