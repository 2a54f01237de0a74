"""``smoltolk ablate RECIPE --vary``: trainings of one recipe side by side, and a table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, SmolTolkError
from smoltolk.common.files import write_json, write_text
from smoltolk.common.lock import hold
from smoltolk.common.progress import console
from smoltolk.common.run_directory import Job, RunDirectory
from smoltolk.sweeps.experiment import Experiment, Outcome
from smoltolk.sweeps.results import gather, markdown
from smoltolk.sweeps.trials import check_settings, jobs_of
from smoltolk.training.recipes.binding import changed
from smoltolk.training.recipes.overrides import changes_of_words, parse_value
from smoltolk.training.recipes.sources import made_by, recipe_named
from smoltolk.training.recipes.yaml_files import plain_recipe


def sweep(experiment: Experiment, out: Path, *, keep_models: bool = False) -> dict[str, Any]:
    """Train and ask every arm with every seed that is not done yet; return what ``OUT/results.json`` holds.

    It is written anew, with ``results.md``, whenever a training has been asked. The same experiment goes on where it
    stopped; more values and more seeds may be named later, other outcomes and another recipe may not. A training that
    fails is listed with its reason, and the others go on; the same call tries it again, from its last checkpoint.

    Args:
        experiment: what is asked.
        out: its directory; ``run.json`` says before the first run what will be looked at.
        keep_models: keep what is trained, in ``OUT/models``.

    Raises:
        InputError: a directory that holds something else, or an arm that was trained with other settings.
    """
    record = {
        "question": experiment.question,
        "outcomes": [outcome.name for outcome in experiment.outcomes],
        **_leaves("recipe", plain_recipe(replace(experiment.recipe, out=None, seed=0, name="run"))),
    }
    with hold(out):
        run, failures = RunDirectory(out, record), dict[str, str]()
        check_settings(experiment, run)

        def finished(job: Job) -> None:
            if not keep_models:
                shutil.rmtree(out / "models" / job.name)
            _write(gather(experiment, run, failures), out)

        def failed(job: Job, error: BaseException) -> None:
            failures[job.name] = _reason(error)
            console.print(
                f"  failed   {job.title}: {failures[job.name]}", highlight=False, soft_wrap=True, markup=False
            )

        jobs = jobs_of(experiment, out.absolute())
        title = f"{len(jobs)} trainings, each asked when it ends"
        run.side_by_side(jobs, title=title, finished=finished, failed=failed, gpus=_gpus())
        results = gather(experiment, run, failures)
        _write(results, out)
        with suppress(OSError):  # nothing was kept
            (out / "models").rmdir()
        for kind, name in (("table", "results.md"), ("figures", "results.json")):
            console.print(f"  {kind:8} {out / name}", highlight=False, soft_wrap=True)
    return results


def _reason(error: BaseException) -> str:
    """In a line; of what is no user's mistake its kind, too."""
    told = " ".join(str(error).split())
    return told if isinstance(error, SmolTolkError) else f"{type(error).__name__}: {told}"


def _write(results: dict[str, Any], out: Path) -> None:
    write_json(out / "results.json", results)
    write_text(out / "results.md", markdown(results))


def _leaves(name: str, value: Any) -> dict[str, Any]:
    """Settings by dotted name, so that a message can point at the one that is another."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    return {key: leaf for part, one in value.items() for key, leaf in _leaves(f"{name}.{part}", one).items()}


def _gpus() -> list[str]:
    """The GPUs that this process may use, by their names for others."""
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]


def experiment_of_words(words: Sequence[str], vary: Sequence[str] = (), outcomes: Sequence[str] = ()) -> Experiment:
    """The experiment that a command line stands for.

    Args:
        words: a recipe, or ``file.py:function`` that returns an :class:`Experiment`, and ``name=value`` that change
            the recipe of all arms.
        vary: ``name=value,value``; of a file they stand beside what it varies.
        outcomes: names; of a file, what it names is kept. None named: likelihoods of the held-out shards.

    Raises:
        InputError: words of another form, or what the experiment finds.
    """
    if not words:
        raise InputError("an experiment has a recipe", "no words", "name one, e.g. smoltolk-150m or file.py:function")
    made = made_by(words[0]) if ".py:" in words[0] else recipe_named(words[0])
    changes, more = changes_of_words(words[1:]), dict(map(_varied, vary))
    named = tuple(Outcome(name) for name in outcomes)
    if isinstance(made, Experiment):
        if named and named != made.outcomes:
            raise InputError(
                "outcomes are declared in the file before the run", ", ".join(outcomes), "leave --outcome out"
            )
        return replace(made, recipe=changed(made.recipe, changes), vary={**made.vary, **more})
    recipe = changed(made, changes)
    return Experiment(recipe=recipe, vary=more, outcomes=named or (Outcome("nll:speech"), Outcome("nll:text")))


def _varied(text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    listed = parse_value(f"[{values}]") if equals and values else None
    if not isinstance(listed, list) or not listed:
        raise InputError("what varies is written NAME=VALUE,VALUE", repr(text), "write e.g. seed=0,1,2")
    return name.strip(), listed
