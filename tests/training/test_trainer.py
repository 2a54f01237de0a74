"""Stages train what they should, and an interrupted run ends where an uninterrupted one does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.loader import RowCollator
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.systems import SYSTEMS, build_system
from smoltolk.training.trainer import last_whole_checkpoint, run_stage

T, NUM_UNITS = 24, 10


class Rows(Dataset):
    """Counting in text, a switch, counting in units; each row from its own number."""

    def __init__(self, model: SmolTolkForCausalLM, num_rows: int):
        self.space, self.num_rows = model.config.id_space, num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        start = int(torch.randint(0, 1000, (), generator=generator))
        text = (start + torch.arange(T // 2 - 1)) % 49 + 1  # both sides count on
        units = (start + torch.arange(T // 2)) % NUM_UNITS + self.space.speech_offset
        ids = torch.cat([text, torch.tensor([self.space.switch]), units])
        labels = ids.masked_fill(ids == self.space.switch, -100)
        labels[0] = -100
        return {"input_ids": ids, "labels": labels, "document_ids": torch.zeros_like(ids)}


def text_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, eos_token_id=0, bos_token_id=0, tie_word_embeddings=True,
        )
    )  # fmt: skip


def recipe(num_steps: int = 8, trainable: str = "all", save_steps: int = 100) -> Recipe:
    stage = Stage(name="s", num_steps=num_steps, trainable=trainable, learning_rate=1e-2, warmup_steps=2, decay_steps=2)
    return Recipe(stages=(stage,), row_length=T, rows_per_step=4, bf16=False, save_steps=save_steps)


def train(model: SmolTolkForCausalLM, names: set[str], plan: Recipe, out: Path, **more) -> list[dict]:
    (stage,) = plan.stages
    rows = Rows(model, stage.num_steps * plan.rows_per_step)
    collate = RowCollator(model.config.id_space)
    return run_stage(model, plan, stage, rows, collate, out, speech_names=names, **more)


@pytest.mark.parametrize("system", SYSTEMS)
def test_stage_1_leaves_the_text_model_alone_and_stage_2_trains_all(system, tmp_path):
    base = text_model()
    model, names = build_system(system, base, num_units=NUM_UNITS, eos_text_id=0)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    train(model, names, recipe(trainable="speech"), tmp_path / "1")
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == names
    train(model, names, recipe(), tmp_path / "2")
    still = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
    assert not still


def test_early_plus_has_the_layers_of_late(tmp_path):
    base = text_model()
    sizes = {
        s: sum(p.numel() for p in build_system(s, base, num_units=NUM_UNITS, eos_text_id=0)[0].parameters())
        for s in SYSTEMS
    }
    assert sizes["early"] < sizes["early_plus"] <= sizes["late"]
    # All that late has more is the selector: L x D weights, L biases, L static weights.
    assert sizes["late"] - sizes["early_plus"] == 2 * 32 + 2 + 2


def test_the_loss_falls_and_its_parts_are_logged(tmp_path):
    model, names = build_system("late", text_model(), num_units=NUM_UNITS, eos_text_id=0)
    reported = []
    history = train(model, names, recipe(40), tmp_path, report=lambda step, note: reported.append(step))
    assert reported == list(range(1, 41))
    assert history[-1]["loss"] < history[0]["loss"] - 0.3
    assert {"text_loss", "speech_loss", "selector_entropy", "learning_rate"} <= set(history[-1])
    assert json.loads((tmp_path / "history.json").read_text()) == history


class Killed(Exception):
    """Stands for a kill."""


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path):
    def fresh():
        return build_system("late", text_model(), num_units=NUM_UNITS, eos_text_id=0)

    plan = recipe(12, save_steps=4)
    whole, names = fresh()
    history = train(whole, names, plan, tmp_path / "whole")

    def die(step: int, note: str) -> None:
        if step == 7:
            raise Killed

    model, names = fresh()
    with pytest.raises(Killed):
        train(model, names, plan, tmp_path / "cut", report=die)
    assert last_whole_checkpoint(tmp_path / "cut").name == "checkpoint-4"
    # A later checkpoint whose writing was cut short is not taken for whole.
    (tmp_path / "cut" / "checkpoint-6").mkdir()
    model, names = fresh()
    resumed = train(model, names, plan, tmp_path / "cut")
    assert [entry["loss"] for entry in resumed] == [entry["loss"] for entry in history]
    for (name, a), (_, b) in zip(whole.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


class TextThenSpeech(Rows):
    """Every second row predicts text alone, the others speech alone."""

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = super().__getitem__(index)
        speech = row["labels"] >= self.space.speech_offset
        row["labels"] = row["labels"].masked_fill(speech if index % 2 else ~speech, -100)
        return row


def test_parts_of_the_loss_are_means_over_their_ids(tmp_path):
    parts = []
    for device_rows in (4, 1):
        model, names = build_system("late", text_model(), num_units=NUM_UNITS, eos_text_id=0)
        plan = recipe(4)
        rows = TextThenSpeech(model, 4 * plan.rows_per_step)
        out = tmp_path / str(device_rows)
        history = run_stage(
            model, plan, plan.stages[0], rows, RowCollator(model.config.id_space), out, speech_names=names,
            device_rows=device_rows,
        )  # fmt: skip
        parts.append([[entry[name] for name in ("text_loss", "speech_loss")] for entry in history])
        # 11 text ids less the first, 12 units: every row of a pass alone holds only one kind.
        for entry in history:
            assert entry["loss"] == pytest.approx((10 * entry["text_loss"] + 12 * entry["speech_loss"]) / 22, abs=0.05)
    assert torch.allclose(*map(torch.tensor, parts), atol=1e-3)


def test_rows_made_ahead_are_the_same_rows(tmp_path, monkeypatch):
    weights = []
    for workers in (0, 2):
        monkeypatch.setattr("smoltolk.training.trainer.ROW_WORKERS", {"cuda": workers, "cpu": workers})
        model, names = build_system("late", text_model(), num_units=NUM_UNITS, eos_text_id=0)
        train(model, names, recipe(4), tmp_path / str(workers))
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_accumulated_micro_batches_equal_one_batch(tmp_path):
    results = []
    for device_rows in (4, 2):
        model, names = build_system("late", text_model(), num_units=NUM_UNITS, eos_text_id=0)
        train(model, names, recipe(4), tmp_path / str(device_rows), device_rows=device_rows)
        results.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.allclose(*results, atol=1e-4)


def test_a_stage_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="warm-up and decay must fit"):
        Stage(name="s", num_steps=5, trainable="all", learning_rate=1e-3, warmup_steps=4, decay_steps=4)


def test_the_rate_rises_holds_and_falls():
    stage = Stage(name="s", num_steps=10, trainable="all", learning_rate=1.0, warmup_steps=2, decay_steps=4)
    assert [stage.rate_at(step) for step in range(10)] == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_an_unknown_system_is_refused():
    with pytest.raises(InputError, match="late, early, early_plus"):
        build_system("middle", text_model(), num_units=NUM_UNITS, eos_text_id=0)
