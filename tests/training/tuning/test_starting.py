"""Training goes on: with the same units, with others, from a LoRA; and from a text model with a LoRA around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.inference.lora import is_lora, origin_of
from smoltolk.inference.parts import load_model
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.changes import Changes
from smoltolk.training.job import TrainingJob
from smoltolk.training.presets import small_recipe
from smoltolk.training.recipes.positional import positional_recipe
from smoltolk.training.tuning.settings import LoraSettings, Tuning
from smoltolk.training.tuning.starting import Start, going_on, is_smoltolk, open_start
from smoltolk.training.tuning.tune_job import TuneJob

LORA = LoraSettings(r=4)
OTHER = SimpleNamespace(fingerprint="cd" * 32, num_units=7, num_codebooks=1)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder)[0].state_dict()


def known(folder: Path) -> SimpleNamespace:
    config = SmolTolkForCausalLM.from_pretrained(folder).config
    return SimpleNamespace(
        fingerprint=config.unit_fingerprint, num_units=config.num_units, num_codebooks=config.num_codebooks
    )


@pytest.fixture
def job(shards_dir: Path) -> Callable[..., TrainingJob]:
    def make(model: Path, out: Path, steps: int = 2, tuning: Tuning | None = None, **options: Any) -> TrainingJob:
        from dataclasses import replace

        changes = Changes(steps=steps, row_length=96, rows_per_step=2, rates={"stage1": 0.05, "stage2": 0.05})
        tree = positional_recipe(str(model), shards_dir, out, changes=changes, **options)
        return TrainingJob(tree if tuning is None else replace(tree, tuning=tuning))

    return make


def test_what_is_a_smoltolk_model(talking: Path, backbone: Path, tmp_path: Path) -> None:
    assert is_smoltolk(talking)
    assert not is_smoltolk(backbone) and not is_smoltolk(tmp_path / "none") and not is_smoltolk(tmp_path)


def test_its_own_units(talking: Path) -> None:
    start = open_start(talking, units=known(talking))
    assert not start.speech_is_new and not start.notes and start.origin.name == str(talking)
    for name, value in weights(talking).items():
        assert torch.equal(start.model.state_dict()[name], value)


def test_weights_that_train_are_float32(
    job: Callable[..., TrainingJob], talking: Path, tmp_path: Path, dialogues: Path, phone_units_dir: Path
) -> None:
    """In bfloat16 small steps round to nothing; what stands still beside a LoRA may lie in it."""
    model, tokenizer = load_model(talking)
    model.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    tokenizer.save_pretrained(tmp_path / "half")

    def kinds(start: Start) -> set[torch.dtype]:
        return {parameter.dtype for parameter in start.inner.parameters()}

    given = (tmp_path / "half", dialogues, tmp_path / "out")
    assert kinds(TuneJob(*given, units=phone_units_dir).start()) == {torch.float32}
    assert kinds(TuneJob(*given, units=phone_units_dir, lora=LORA).start()) == {torch.bfloat16, torch.float32}
    assert kinds(job(tmp_path / "half", tmp_path / "more").plan().start) == {torch.float32}


def test_other_units(talking: Path) -> None:
    start = open_start(talking, units=OTHER)
    assert start.speech_is_new and "made anew" in start.notes[0]
    assert (start.config.num_units, start.config.unit_fingerprint) == (7, "cd" * 32)
    assert start.config.speech_offset == SmolTolkForCausalLM.from_pretrained(talking).config.speech_offset
    before = weights(talking)
    for name, value in start.model.state_dict().items():
        kept = name.startswith(("backbone.", "control_embed."))
        same = value.shape == before[name].shape and torch.equal(value, before[name])
        assert same == kept or len(value.unique()) == 1, name  # gains begin as ones
    again = open_start(talking, units=OTHER)
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in start.model.state_dict().items())


def test_units_that_it_does_not_name(make_talking: Callable[..., Path], tmp_path: Path) -> None:
    """As of converted checkpoints: as many units are its own."""
    folder = make_talking(tmp_path / "model", unit_fingerprint=None)
    units = known(folder)
    units.fingerprint = "ef" * 32
    start = open_start(folder, units=units)
    assert not start.speech_is_new and "does not say" in start.notes[0]
    assert start.config.unit_fingerprint == "ef" * 32


def test_stages_of_the_speech_part_are_for_new_ones(talking: Path) -> None:
    recipe = small_recipe(300, 2200, 1e-3)
    same = going_on(recipe, open_start(talking, units=known(talking)))
    assert [(stage.name, stage.num_steps) for stage in same.stages] == [("stage2", 2500)]
    assert going_on(recipe, open_start(talking, units=OTHER)) == recipe


@pytest.mark.parametrize("lora", [None, LORA])
def test_train_from_a_model(
    lora: LoraSettings | None, job: Callable[..., TrainingJob], talking: Path, tmp_path: Path
) -> None:
    going = job(talking, tmp_path / "out", steps=3, tuning=Tuning(lora=lora))
    assert [stage.name for stage in going.recipe.stages] == ["stage2"] and going.num_steps == 3
    going.run()
    assert is_lora(tmp_path / "out") == (lora is not None)
    before, after = weights(talking), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert any(name.startswith("backbone.model.layers") for name in moved)
    assert ("units.embed.weight" in moved) == (lora is None)


def test_train_on_other_units(
    job: Callable[..., TrainingJob], make_talking: Callable[..., Path], tmp_path: Path
) -> None:
    """Told, and both stages run."""
    other = make_talking(tmp_path / "other", unit_fingerprint="ab" * 32)
    going = job(other, tmp_path / "out")
    assert "made anew" in going.advice[0] and len(going.recipe.stages) == 2
    going.run()
    assert load_model(tmp_path / "out")[0].config.unit_fingerprint == going.shards.metadata.fingerprint


def test_from_a_text_model_with_a_lora(job: Callable[..., TrainingJob], backbone: Path, tmp_path: Path) -> None:
    """Its speech part trains whole; killed between and inside stages it goes on as if nothing had been."""
    whole = job(backbone, tmp_path / "whole", steps=4, tuning=Tuning(lora=LORA))
    whole.run()
    assert is_lora(tmp_path / "whole") and origin_of(tmp_path / "whole")[0].settings is not None
    model, _ = load_model(tmp_path / "whole")
    plain = SmolTolkForCausalLM.from_text_model(
        str(backbone), num_units=model.config.num_units, eos_text_id=model.config.eos_text_id
    )
    assert not torch.equal(model.units.embed.weight, plain.units.embed.weight)
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)

    class Killed(Exception):
        """By a test."""

    def kill(step: float, text: str) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        job(backbone, tmp_path / "parts", steps=4, tuning=Tuning(lora=LORA)).run(kill)
    assert (tmp_path / "parts.work" / "stage1" / "model").is_dir()
    job(backbone, tmp_path / "parts", steps=4, tuning=Tuning(lora=LORA)).run()
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    # And training goes on from it, into the weights.
    job(tmp_path / "whole", tmp_path / "more").run()
    assert not is_lora(tmp_path / "more")


def test_refused(job: Callable[..., TrainingJob], talking: Path, backbone: Path, tmp_path: Path) -> None:
    job(talking, tmp_path / "lora", tuning=Tuning(lora=LORA)).run()
    with pytest.raises(InputError, match="lora merge"):
        open_start(tmp_path / "lora", units=OTHER, lora=LORA)
    with pytest.raises(InputError, match="lora merge"):
        open_start(tmp_path / "lora", predict_switch=True, lora=LORA)
    with pytest.raises(InputError, match="smoltolk train"):
        job(talking, tmp_path / "out", tuning=Tuning(start=str(backbone)))
