"""A run builds what its settings say, reads what it was given, and trains its stages as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from transformers import AutoConfig

from smoltolk.common.files import read_json
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.data.rows.mixture import Task
from smoltolk.model.ids import IGNORE
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.changes import Changes
from smoltolk.training.job import TrainingJob
from smoltolk.training.recipes.positional import positional_recipe
from smoltolk.training.rows import id_space, stage_named
from smoltolk.training.run import Run
from smoltolk.training.stages import run_stage
from smoltolk.training.systems import SETTINGS

SAME = {"speech": 1.0, "text": 1.0, "interleaved": 1.0}
FEW = Changes(steps=4, row_length=96, rows_per_step=2, mixture=SAME, speech_mixture=SAME)


@pytest.fixture(scope="module")
def plan(backbone: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """``plan(system="early")``: a run that has not begun."""

    def make(changes: Changes = FEW, **options: object) -> Run:
        out = tmp_path_factory.mktemp("plan") / "out"
        return TrainingJob(positional_recipe(str(backbone), shards_dir, out, changes=changes, **options)).plan()  # type: ignore[arg-type]

    return make


def rows(run: Run, stage: str, count: int = 12) -> list[np.ndarray]:
    source = run.rows(stage_named(run.recipe, stage), run.build())
    return [source.row(number).input_ids for number in range(count)]


@pytest.mark.parametrize("system", SETTINGS)
def test_the_model_has_the_settings_of_its_run(plan: Callable, system: str) -> None:
    run = plan(system=system)
    config, text_config = run.build().config, AutoConfig.from_pretrained(run.text_model)
    assert run.settings and all(getattr(config, name) == value for name, value in run.settings.items())
    assert config.id_space == id_space(text_config, run.tokenizer, run.units.num_units)
    assert (config.unit_fingerprint, config.eos_text_id) == (run.units.fingerprint, run.tokenizer.eos_token_id)


def test_every_system_reads_the_same_rows_and_every_stage_and_seed_its_own(plan: Callable) -> None:
    first, second = rows(plan(), "stage1"), rows(plan(), "stage2")
    assert all(np.array_equal(a, b) for a, b in zip(first, rows(plan(system="early_plus"), "stage1"), strict=True))
    different = (second, rows(plan(seed=1), "stage1"))  # the stages have one mixture here
    assert all(sum(np.array_equal(a, b) for a, b in zip(first, other, strict=True)) <= 1 for other in different)


def test_running_text_takes_the_place_of_the_utterances_own(plan: Callable, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(f"Nobody says these {n} words aloud." for n in range(50)))
    for text in (None, tmp_path / "text.txt"):
        run = plan(changes=Changes(steps=4, row_length=96, rows_per_step=2, mixture={"text": 1.0}), text=text)
        for ids in rows(run, "stage2", 5):
            assert ("these" in run.tokenizer.decode(ids)) == (text is not None)


def test_each_stage_has_its_own_rate_and_trains_what_it_says(plan: Callable, tmp_path: Path) -> None:
    rates = {"stage1": 1e-2, "stage2": 1e-4}
    run = plan(changes=Changes(steps=20, row_length=96, rows_per_step=1, rates=rates))
    trained = run.train(tmp_path / "work", tmp_path / "out")
    for stage in run.recipe.stages:
        entries = [entry for entry in trained.history if entry["stage"] == stage.name]
        used = [entry["learning_rate"] for entry in entries]
        assert used == pytest.approx([rates[stage.name] * stage.rate_at(step) for step in range(stage.num_steps)])
    before = run.build()
    speech = set(before.speech_parameters())
    first = SmolTolkForCausalLM.from_pretrained(tmp_path / "work" / "stage1" / "model")
    last = SmolTolkForCausalLM.from_pretrained(tmp_path / "out")
    for name, parameter in before.named_parameters():
        assert torch.equal(parameter, first.get_parameter(name)) == (name not in speech)
        assert not torch.equal(parameter, last.get_parameter(name))


@pytest.mark.parametrize("predict", [False, True])
@pytest.mark.parametrize("task", list(Task))
def test_every_label_of_a_row_is_one_that_the_model_predicts(plan: Callable, task: Task, predict: bool) -> None:
    """So that a Trainer's count of labels, the loss and the log agree."""
    changes = Changes(steps=2, row_length=160, rows_per_step=1, mixture={task: 1.0}, predict_switch=predict)
    run = plan(changes=changes)
    model = run.build()
    rows = RowDataset(run.rows(stage_named(run.recipe, "stage2"), model), 6)
    batch = RowCollator(model.config.id_space)([rows[number] for number in range(6)])
    with torch.no_grad():
        output = model.train()(**batch)
    assert int(output.num_text + output.num_speech) == int((batch["labels"][:, 1:] != IGNORE).sum()) > 100
    assert int(output.num_positions) == int(batch["attention_mask"].sum())


@pytest.mark.parametrize("predict", [False, True])
def test_whether_switches_are_predicted_is_one_setting(
    backbone: Path, shards_dir: Path, tmp_path: Path, predict: bool
) -> None:
    changes = Changes(steps=2, row_length=96, rows_per_step=2, predict_switch=predict)
    job = TrainingJob(positional_recipe(str(backbone), shards_dir, tmp_path / "model", changes=changes))
    run = job.plan()
    model = run.build()
    source, switch = run.rows(stage_named(run.recipe, "stage1"), model), model.config.switch_id
    batch = RowCollator(model.config.id_space)([RowDataset(source, 4)[number] for number in range(4)])
    ids, labels = batch["input_ids"], batch["labels"]
    assert (ids == switch).sum() > 3 and model.config.predict_switch == predict
    assert set(labels[ids == switch].tolist()) == ({switch} if predict else {-100})
    job.run()
    command = read_json(tmp_path / "model" / "made.json")["command"]
    assert command["recipe"]["predict_switch"] == predict
    assert SmolTolkForCausalLM.from_pretrained(tmp_path / "model").config.predict_switch == predict


class RunsOfSix(Dataset):
    """Six text ids, a switch, six units, a switch, and so on: counting, so that nothing but the run's end is new."""

    def __init__(self, model: SmolTolkForCausalLM, num_rows: int):
        self.space, self.num_rows = model.config.id_space, num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        runs = []
        for number in range(4):
            counted = (index + torch.arange(6)) % 9
            runs += [counted + (self.space.speech_offset if number % 2 else 1), torch.tensor([self.space.switch])]
        ids = torch.cat(runs[:-1])
        labels = ids.clone()
        labels[0] = -100
        return {"input_ids": ids, "labels": labels, "document_ids": torch.zeros_like(ids)}


def test_a_model_that_is_asked_to_learns_when_to_change_its_modality(
    build: Callable, make_recipe: Callable, tmp_path: Path
) -> None:
    model = build(predict_switch=True)
    rows, collate, plan = RunsOfSix(model, 400), RowCollator(model.config.id_space), make_recipe(100)
    run_stage(model, plan, plan.stages[0], rows, collate, tmp_path)
    batch = collate([rows[500 + number] for number in range(9)])
    ids, switch = batch["input_ids"], model.config.switch_id
    with torch.no_grad():
        chance = model.eval()(ids).logits.softmax(-1)[:, :-1, switch]
    follows = ids[:, 1:] == switch
    inside = ~follows
    inside[:, :6] = False  # what the first run's length will be can be seen from the second on
    follows[:, :6] = False
    spoken = ids[:, :-1] >= model.config.speech_offset
    for modality in (spoken, ~spoken & (ids[:, :-1] != switch)):
        assert chance[inside & modality].mean() < 0.1 and chance[follows & modality].mean() > 0.7
    assert chance[ids[:, :-1] == switch].mean() < 0.1
