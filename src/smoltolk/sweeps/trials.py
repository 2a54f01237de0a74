"""The trainings of an experiment: every arm with every seed, each asked when it ends."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.run_directory import Job, RunDirectory
from smoltolk.inference.parts import load_model
from smoltolk.sweeps.experiment import Arm, Experiment
from smoltolk.sweeps.measures import measure
from smoltolk.training.job import TrainingJob
from smoltolk.training.recipes.tree import RunRecipe
from smoltolk.training.trainer import Report

_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Trial:
    """One training and its questions.

    Attributes:
        arm, seed: which.
    """

    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """Of its step and its folders: told by what it changes, the same in every later command."""
        plain = re.sub(r"[^\w.=+-]+", "-", self.arm.name).strip("-")
        if plain != self.arm.name.replace(", ", "-") or len(plain) > _LONGEST_NAME:
            digest = hashlib.sha256(repr(sorted(self.arm.changes.items())).encode()).hexdigest()[:8]
            plain = f"{plain[:_LONGEST_NAME]}-{digest}"
        return f"{plain}-seed-{self.seed}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a trial lie.

    Attributes:
        out: directory of the experiment.
    """

    out: Path

    def model(self, trial: Trial) -> Path:
        """The model directory."""
        return self.out / "models" / trial.name

    def answers(self, trial: Trial) -> Path:
        """Its answers, item by item."""
        return self.out / "answers" / trial.name


def trials_of(experiment: Experiment) -> list[Trial]:
    """All of them in the order of work: seed by seed, so that every arm is known early.

    Raises:
        InputError: two of them have one name.
    """
    trials = [Trial(arm, seed) for seed in experiment.seeds for arm in experiment.all_arms]
    taken: dict[str, Trial] = {}
    for trial in trials:
        if taken.setdefault(trial.name, trial) is not trial:
            raise InputError(
                "every arm has a name of its own",
                f"{trial.arm.name!r} and {taken[trial.name].arm.name!r}",
                "name one of them otherwise",
            )
    return trials


def check_settings(experiment: Experiment, run: RunDirectory) -> None:
    """Hold the arms of an experiment against those that were trained under their names.

    Raises:
        InputError: one had other settings.
    """
    for trial in trials_of(experiment):
        before = run.figures(trial.name).get("changes") if run.done(trial.name) else None
        if before not in (None, _plain(trial.arm.changes)):
            raise InputError(
                "an arm keeps its settings in a directory",
                f"{trial.arm.name!r} was trained with {before}, is {_plain(trial.arm.changes)}",
                f"name it otherwise, choose another --out, or delete steps/{trial.name}.json in that directory",
            )


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives them back."""
    return json.loads(json.dumps(dict(changes), default=str))


def jobs_of(experiment: Experiment, out: Path) -> list[Job]:
    """A step for each trial.

    Args:
        experiment: what is trained.
        out: its directory.
    """
    return [
        Job(
            trial.name,
            f"{trial.arm.name}, seed {trial.seed}",
            recipe_of(experiment, trial, out).recipe().num_steps,
            run_trial,
            (experiment, trial, out),
        )
        for trial in trials_of(experiment)
    ]


def recipe_of(experiment: Experiment, trial: Trial, out: Path) -> RunRecipe:
    """The recipe of a trial; what is asked when it ends need not be asked meanwhile, unless it says so."""
    tree = trial.arm.of(experiment.recipe, trial.seed)
    logging = tree.logging
    if logging.eval_steps is None:
        logging = replace(logging, cloze=(), held_out=None)
    return replace(tree, out=str(Places(out).model(trial)), logging=logging)


def run_trial(experiment: Experiment, trial: Trial, out: Path, report: Report) -> dict[str, Any]:
    """Train and ask; a training that was interrupted goes on.

    Args:
        experiment, trial: what.
        out: directory of the experiment.
        report: called with the steps done.

    Returns:
        ``parameters``, ``seconds``, ``loss``, the outcomes by name, and ``changes``, the settings of the arm.
    """
    places = Places(out)
    job = TrainingJob(recipe_of(experiment, trial, out))
    trained = job.figures if job.figures is not None else job.run(report)
    model, tokenizer = load_model(job.out)
    asked = measure(
        model, tokenizer, experiment.recipe.logging, experiment.outcomes, places.answers(trial), seed=trial.seed
    )
    known = {name: trained[name] for name in ("parameters", "seconds", "loss") if name in trained}
    return known | asked | {"changes": _plain(trial.arm.changes)}
