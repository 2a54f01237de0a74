"""A question as data: which arms, in which order, and what cannot be asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError
from smoltolk.sweeps.experiment import Arm, Experiment, Outcome
from smoltolk.sweeps.sweep import experiment_of_words
from smoltolk.sweeps.trials import Trial, recipe_of, trials_of
from smoltolk.training.recipes.presets import quick, smoltolk_150m

BASE = quick(10, 10, 1e-3)
BASE = replace(BASE, logging=replace(BASE.logging, held_out="held", cloze=("questions=shards",)))
NLL = Outcome("nll:speech")


def experiment(**given: Any) -> Experiment:
    return Experiment(**{"recipe": BASE, "outcomes": (NLL,), **given})


def test_every_combination_is_an_arm_and_every_arm_has_every_seed() -> None:
    asked = experiment(
        vary={"model.layer_mix": ["last", "static"], "seed": [3, 4], "stages.1.learning_rate": [1e-3, 3e-3]}
    )
    assert [arm.name for arm in asked.all_arms] == [
        "layer_mix=last, learning_rate=0.001", "layer_mix=last, learning_rate=0.003",
        "layer_mix=static, learning_rate=0.001", "layer_mix=static, learning_rate=0.003",
    ]  # fmt: skip
    trials = trials_of(asked)
    assert [trial.seed for trial in trials] == [3] * 4 + [4] * 4
    tree = recipe_of(asked, trials[-1], Path("out"))
    assert (tree.model.layer_mix, tree.stages[1].learning_rate, tree.seed) == ("static", 3e-3, 4)
    assert tree.stages[0] == BASE.stages[0] and tree.out == f"out/models/{trials[-1].name}"
    assert tree.logging.cloze == ()  # asked when it ends


def test_arms_may_be_named() -> None:
    asked = experiment(arms={"late": {}, "early, longer": {"model.system": "early", "stages.1.num_steps": 30}})
    late, early = asked.all_arms
    assert late.of(BASE, 0) == replace(BASE, seed=0)
    assert early.of(BASE, 1).model.system == "early" and early.of(BASE, 1).stages[1].num_steps == 30


def test_names_of_trials_tell_them_apart_and_are_names_of_files() -> None:
    values: list[Any] = [[1, 4], [2, 6], None, 0.1, "a/b"]
    names = {Trial(Arm(f"x={value}", {"x": value}), seed).name for value in values for seed in (0, 1)}
    assert len(names) == 10 and all("/" not in name and " " not in name for name in names)
    assert Trial(Arm("layer_mix=last", {"m": 1}), 2).name == "layer_mix=last-seed-2"
    assert len(Trial(Arm("y" * 300, {}), 0).name) < 120


def test_two_arms_of_one_name_are_refused() -> None:
    """Else one would be taken for the other one's results."""
    asked = experiment(vary={"model.layer_mix": ["last", "static"]}, arms={"layer_mix=last": {"model.system": "early"}})
    with pytest.raises(InputError, match="a name of its own"):
        trials_of(asked)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "something varies"),
        ({"vary": {"model.layer_mix": []}}, "each once"),
        ({"vary": {"seed": [1, 1]}}, "each once"),
        ({"vary": {"seed": [0, 1]}, "outcomes": ()}, "what it will look at"),
        ({"vary": {"seed": [0, 1]}, "outcomes": (NLL, NLL)}, "each once"),
        ({"vary": {"model.layer_mx": ["last", "static"]}}, "did you mean model.layer_mix"),
        ({"vary": {"model.layer_mix": ["last", "all"]}}, "one of last"),
        ({"vary": {"seed": [0, 1]}, "recipe": smoltolk_150m()}, "held_out is not set"),
        (
            {"vary": {"seed": [0, 1]}, "recipe": smoltolk_150m(), "outcomes": (Outcome("cloze:story:S->S"),)},
            "from sets",
        ),
    ],
)
def test_what_cannot_be_asked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        experiment(**given)


@pytest.mark.parametrize("name", ["nll", "nll:sound", "cloze:story", "cloze:story:X->S", "wer"])
def test_outcomes_have_names(name: str) -> None:
    with pytest.raises(InputError, match="an outcome is"):
        Outcome(name)


def test_a_command_line_is_an_experiment(tmp_path: Path) -> None:
    words = ["smoltolk-150m", "logging.held_out=held", "data.shards=shards"]
    asked = experiment_of_words(words, ["model.layer_mix=last,static", "seed=0,1", "data.spans.text=[1, 4],[2, 6]"])
    assert asked.seeds == (0, 1) and len(asked.all_arms) == 4
    assert asked.vary["data.spans.text"] == [[1, 4], [2, 6]] and asked.recipe.data.shards == "shards"
    assert [outcome.name for outcome in asked.outcomes] == ["nll:speech", "nll:text"]
    for given in ([], ["smoltolk-150n"]):
        with pytest.raises(InputError):
            experiment_of_words(given, ["seed=0,1"])
    with pytest.raises(InputError, match="NAME=VALUE"):
        experiment_of_words(words, ["seed"])


def test_a_file_declares_its_outcomes(tmp_path: Path) -> None:
    (tmp_path / "does_it.py").write_text(
        "from smoltolk.sweeps.experiment import Experiment, Outcome\n"
        "from smoltolk.training.recipes.binding import changed\n"
        "from smoltolk.training.recipes.presets import small\n"
        "def experiment():\n"
        "    recipe = changed(small(), {'logging': {'held_out': 'held'}})\n"
        "    return Experiment(question='Does it?', recipe=recipe, vary={'model.layer_mix': ['last', 'static']},\n"
        "                      outcomes=(Outcome('nll:text'),))\n",
        encoding="utf-8",
    )
    word = f"{tmp_path / 'does_it.py'}:experiment"
    asked = experiment_of_words([word, "data.shards=mine"], ["seed=5,6"])
    assert (asked.question, asked.recipe.data.shards, asked.seeds) == ("Does it?", "mine", (5, 6))
    with pytest.raises(InputError, match="before the run"):
        experiment_of_words([word], [], ["nll:speech"])
