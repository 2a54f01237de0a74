"""A stage trains as its recipe says, an interrupted one ends where an uninterrupted one does, and leaves no trace."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.rows.loader import RowCollator
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.attention import NAME
from smoltolk.training import stages
from smoltolk.training.hardware import Hardware
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.stages import load_log, run_stage
from smoltolk.training.whole_checkpoints import last_whole_checkpoint


@pytest.fixture(scope="module")
def train(counting_rows: Callable) -> Callable[..., list[dict]]:
    """``train(model, recipe, out)``: the log of its stage on rows that count."""

    def run(model: SmolTolkForCausalLM, plan: Recipe, out: Path, **more: Any) -> list[dict]:
        (stage,) = plan.stages
        rows = counting_rows(model.config.id_space, stage.num_steps * plan.rows_per_step)
        return run_stage(model, plan, stage, rows, RowCollator(model.config.id_space), out, **more).history

    return run


class Killed(BaseException):
    """Stands for a kill."""


def killed_at(fatal: int) -> Callable[[float, str], None]:
    def die(step: float, note: str) -> None:
        if step == fatal:
            raise Killed

    return die


def test_the_loss_falls_and_its_parts_are_logged(train, build, make_recipe, tmp_path: Path) -> None:
    model, reported = build(), []
    history = train(model, make_recipe(40), tmp_path, report=lambda step, note: reported.append(step))
    assert reported == list(range(1, 41))
    assert history[-1]["loss"] < history[0]["loss"] - 0.3
    assert {"text_loss", "speech_loss", "selector_entropy", "learning_rate"} <= set(history[-1])
    assert load_log(tmp_path).history == history


@pytest.mark.parametrize("resumed_rows", [4, 2, 1])
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    train, build, make_recipe, tmp_path: Path, resumed_rows: int
) -> None:
    plan = make_recipe(12, save_steps=4)
    whole = build()
    history = train(whole, plan, tmp_path / "whole")
    with pytest.raises(Killed):
        train(build(), plan, tmp_path / "cut", report=killed_at(7))
    assert last_whole_checkpoint(tmp_path / "cut").name == "checkpoint-4"
    # A later checkpoint whose writing was cut short is not taken for whole.
    (tmp_path / "cut" / "checkpoint-6").mkdir()
    model, steps = build(), []
    resumed = train(
        model,
        plan,
        tmp_path / "cut",
        hardware=Hardware(autocast=False, rows_per_device=resumed_rows),
        report=lambda step, note: steps.append(step),
    )
    assert steps == list(range(5, 13))
    exactly = resumed_rows == 4  # as many rows a pass as before: the same to the bit
    for found, expected in zip(resumed, history, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=0 if exactly else 1e-4)
    for (name, a), (_, b) in zip(whole.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(a, b) if exactly else torch.allclose(a, b, atol=2e-4), name


def test_a_kill_while_old_checkpoints_are_cleared_away_costs_nothing(
    train, build, make_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, remove = make_recipe(12, save_steps=4), shutil.rmtree

    def half(path: Any, *args: Any, **kwargs: Any) -> None:
        if Path(path).name == "checkpoint-4":
            next(Path(path).glob("optimizer*")).unlink()  # half of it is gone, then ...
            raise Killed
        remove(path, *args, **kwargs)

    monkeypatch.setattr("shutil.rmtree", half)
    with pytest.raises(Killed):
        train(build(), plan, tmp_path)
    assert last_whole_checkpoint(tmp_path).name == "checkpoint-8"
    monkeypatch.undo()
    steps = []
    train(build(), plan, tmp_path, report=lambda step, note: steps.append(step))
    assert steps == [9, 10, 11, 12] and [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-12"]


def test_a_stage_that_was_killed_behind_its_last_step_is_not_trained_again(
    train, build, make_recipe, tmp_path: Path
) -> None:
    whole, model, steps = build(), build(), []
    history = train(whole, make_recipe(4), tmp_path)
    (tmp_path / "log.json").unlink()
    assert train(model, make_recipe(4), tmp_path, report=lambda step, note: steps.append(step)) == history
    assert not steps and all(map(torch.equal, whole.parameters(), model.parameters()))


def test_one_process_has_one_device(build, make_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_recipe()
    monkeypatch.setattr("transformers.TrainingArguments.n_gpu", 4)
    assert vars(stages._arguments(build(), plan, plan.stages[0], Hardware(), 4, tmp_path, 0))["_n_gpu"] == 1


def test_the_time_of_an_interrupted_stage_is_that_of_all_its_parts(
    train, build, make_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, plan = [0.0], make_recipe(8, save_steps=4)
    monkeypatch.setattr("smoltolk.training.whole_checkpoints.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def ten_seconds(step: float, note: str) -> None:
        clock[0] += 10
        killed_at(5)(step, note)

    with pytest.raises(Killed):
        train(build(), plan, tmp_path, report=ten_seconds)
    clock[0] += 1000  # nobody trains
    with pytest.raises(Killed):  # the fifth step again
        train(build(), plan, tmp_path, report=ten_seconds)
    clock[0] += 1000
    train(build(), plan, tmp_path, report=lambda step, note: clock.__setitem__(0, clock[0] + 10))
    assert load_log(tmp_path).seconds == 80  # what a kill lost is not counted


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("asked", [False, True, None])
def test_every_stage_computes_in_the_recipes_precision_and_evaluations_in_their_own(
    train, build, make_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool | None, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    model, seen, bf16 = build(), [], native if asked is None else asked

    def look(*_: Any) -> None:
        if torch.is_grad_enabled():  # no trial
            seen.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16)

    model.backbone.base_model.register_forward_pre_hook(look)
    attributes, attention = set(vars(model)), model.backbone.config._attn_implementation
    for stage in ("1", "2"):  # a second stage in the same process too
        train(model, make_recipe(2, bf16=asked), tmp_path / stage)
        assert seen == [bf16] * 2
        model.eval()(torch.tensor([[3, 4, 5]]))
        assert seen == [bf16] * 2 + [False]
        seen.clear()
    assert set(vars(model)) == attributes and model.backbone.config._attn_implementation == attention


@pytest.mark.parametrize("how", [{"attention": "eager"}, {"attention": "sdpa"}, {"gradient_checkpointing": True}])
def test_how_a_stage_computes_changes_nothing_but_the_last_bits(
    train, build, make_recipe, tmp_path: Path, how: dict
) -> None:
    models, seen = [build(), build()], set()
    models[1].backbone.base_model.register_forward_pre_hook(
        lambda *_: seen.add(
            (models[1].backbone.config._attn_implementation, models[1].backbone.model.layers[0].gradient_checkpointing)
        )
    )
    for model, more in zip(models, ({}, how), strict=True):
        before = model.config._attn_implementation
        train(model, make_recipe(4), tmp_path / str(len(more)), hardware=Hardware(autocast=False, **more))
        assert model.config._attn_implementation == before
    if "attention" in how:
        assert {name for name, _ in seen} == {how["attention"]}
    else:
        assert (NAME, True) in seen and not models[1].backbone.model.layers[0].gradient_checkpointing
    for (name, a), (_, b) in zip(*(model.named_parameters() for model in models), strict=True):
        assert torch.allclose(a, b, atol=2e-4), name


def test_what_compiling_lacks_is_told() -> None:
    def backend(*_: Any) -> Any:
        raise OSError("no compiler here")

    compiled = torch.compile(lambda x: x + 1, backend=backend)
    with pytest.raises(InputError, match="no compiler here"), stages._compiling(Hardware(compile=True)):
        compiled(torch.ones(2))
    with pytest.raises(RuntimeError, match="another"), stages._compiling(Hardware(compile=True)):
        raise RuntimeError("another")


def test_attention_that_is_none_is_refused(train, build, make_recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'telepathy'"):
        train(build(), make_recipe(2), tmp_path, hardware=Hardware(attention="telepathy"))


def test_gradients_are_clipped(train, build, make_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    make = stages.build_optimizer

    def measured(model: torch.nn.Module, recipe: Recipe, stage: Stage) -> Any:
        optimizer, schedule = make(model, recipe, stage)

        def measure(*_: Any) -> None:
            norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])))

        optimizer.register_step_pre_hook(measure)
        return optimizer, schedule

    monkeypatch.setattr(stages, "build_optimizer", measured)
    train(build(), make_recipe(4, max_grad_norm=1e9), tmp_path / "free")
    free = list(norms)
    norms.clear()
    most = min(free) / 10
    train(build(), make_recipe(4, max_grad_norm=most), tmp_path / "clipped")
    assert len(norms) == len(free) == 4 and norms == pytest.approx([most] * 4, rel=1e-3)


def test_rows_made_ahead_are_the_same_rows(
    train, build, make_recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for workers in (0, 2):
        monkeypatch.setattr(stages, "ROW_WORKERS", {"cuda": workers, "cpu": workers})
        model = build()
        train(model, make_recipe(4), tmp_path / str(workers))
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_rows_that_cannot_be_shared_out_are_refused(train, build, make_recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="multiple of those of a forward pass"):
        train(build(), make_recipe(2), tmp_path, hardware=Hardware(autocast=False, rows_per_device=3))


def test_a_stage_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="warm-up and decay must fit"):
        Stage(name="s", num_steps=5, trainable="all", learning_rate=1e-3, warmup_steps=4, decay_steps=4)


def test_the_rate_rises_holds_and_falls() -> None:
    stage = Stage(name="s", num_steps=10, trainable="all", learning_rate=1.0, warmup_steps=2, decay_steps=4)
    assert [stage.rate_at(step) for step in range(10)] == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
