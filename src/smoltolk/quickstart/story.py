"""The main job on the embedded default: from nothing to a model that hears, reads and speaks, and to a report on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from smoltolk.analysis.answer_lens import lens_differences, load_lens
from smoltolk.common.errors import InputError, require
from smoltolk.common.files import read_jsonl, write_json
from smoltolk.common.lock import hold
from smoltolk.common.progress import console
from smoltolk.common.run_directory import Job, RunDirectory
from smoltolk.evaluation.runs.world_answers import world_differences
from smoltolk.quickstart import speech_steps
from smoltolk.quickstart.bundle_step import leave_bundle
from smoltolk.quickstart.data_steps import make_data, run_record
from smoltolk.quickstart.evaluation_steps import ANSWERS, evaluate_one
from smoltolk.quickstart.model_steps import check_own_text_model, train_one
from smoltolk.quickstart.scales import Scale
from smoltolk.quickstart.settings import Settings
from smoltolk.report.page import write_report
from smoltolk.report.results import BASELINES, COMPARED, OUTCOMES, difference_key, validate_results
from smoltolk.report.summary import print_summary


def quickstart(out: Path, scale: str = "small", seed: int = 0, text_model: str | None = None) -> dict[str, Any]:
    """Run every step that is not done yet, and return what ``OUT/results.json`` holds.

    Args:
        out: run directory; one that an interrupted run with the same settings left goes on.
        scale: ``tiny``, ``small`` or ``medium``.
        seed: of the world, the voices, the weights and the rows.
        text_model: hub id or directory of a text model; None trains a small one.

    Raises:
        InputError: a bad setting, or a directory that holds something else.
        MissingExtraError: ``smoltolk[offline]`` is not installed.
        WorkerError: a worker process was killed; the same call continues.
    """
    settings = Settings(out, scale, seed, text_model)
    sizes = settings.scale
    require("espeakng_loader", "the offline synthesizer")
    require("pocketsphinx", "the offline judge")
    check_own_text_model(settings)
    _check_room(out, sizes)
    with hold(out):
        run = RunDirectory(out, run_record(settings))
        vocoder = Job(
            "vocoder", "Vocoder", sizes.vocoder_steps, speech_steps.fit_the_vocoder, (settings,), after=("units",)
        )
        make_data(settings, run, vocoder)
        steps, asked = sizes.speech.recipe().num_steps, sizes.num_asked
        run.side_by_side(
            [Job(f"train-{s}", f"Train {s}", steps, train_one, (settings, s)) for s in COMPARED]
            + [
                Job(f"evaluate-{s}", f"Evaluate {s}", asked, evaluate_one, (settings, s), after=(f"train-{s}",))
                for s in COMPARED
            ]
        )
        results = run.step("report", "Report", lambda: report(settings, run))
        if not all((out / name).is_file() for name in ("results.json", "report.html")):  # somebody took them away
            _write(results, out)
        run.step("bundle", "Bundle", lambda: leave_bundle(settings))
        shutil.rmtree(settings.work, ignore_errors=True)
        print_summary(results, console)
        console.print(
            f"\n  report   {out / 'report.html'}\n  figures  {out / 'results.json'}\n  sound    {out / 'samples'}"
            f"\n  talk     smoltolk talk {out / 'bundle'}"
        )
        return results


def _check_room(out: Path, sizes: Scale) -> None:
    """Refuse a disk that the run would fill: 0.2 MB a spoken story or option, and as much again for all the rest."""
    if (out / "steps" / "speech.json").is_file():
        return  # most of it is written
    options = 2 * (sizes.num_story_clozes + 2 * sizes.num_fact_clozes)
    need = 0.25e6 * (sizes.num_stories + sizes.num_vocoder_stories + options) + 0.1e9
    folder = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < need:
        raise InputError(
            f"this scale needs about {need / 1e9:.1f} GB of disk",
            f"{free / 1e9:.1f} GB free at {folder}",
            "choose an --out on another disk, a smaller --scale, or free some space",
        )


def report(settings: Settings, run: RunDirectory) -> dict[str, Any]:
    """Gather what the steps measured into ``results.json`` and ``report.html``."""
    results = gather(settings, run)
    validate_results(results)
    _write(results, settings.out)
    return results


def _write(results: dict[str, Any], out: Path) -> None:
    write_json(out / "results.json", results)
    write_report(results, out)


def gather(settings: Settings, run: RunDirectory) -> dict[str, Any]:
    """``results.json`` from the figures of the finished steps."""
    trained = {system: run.figures(f"train-{system}") for system in COMPARED}
    evaluated = {system: run.figures(f"evaluate-{system}") for system in COMPARED}
    backbone, speech = run.figures("backbone"), run.figures("speech")
    logs = {system: settings.out / "evaluation" / system for system in COMPARED}
    answers = {system: list(read_jsonl(logs[system] / ANSWERS)) for system in COMPARED}
    lens = {system: load_lens(logs[system] / "lens.jsonl") for system in COMPARED}
    models = {
        system: {
            **{key: value for key, value in evaluated[system].items() if key not in ("selector", "samples")},
            "text_nll_before": backbone["text_nll"],
            "parameters": trained[system]["parameters"],
            "train_tokens_per_second": trained[system]["train_tokens"] / trained[system]["train_seconds"],
        }
        for system in COMPARED
    }
    return {
        "seed": settings.seed,
        "scale": settings.scale_name,
        "outcomes": [outcome.name for outcome in OUTCOMES],
        "world": run.figures("world"),
        "seconds": run.seconds(),
        "tokens": {"text_pretraining": backbone["tokens"], "training_each": trained["late"]["train_tokens"]},
        "units": run.figures("units"),
        "vocoder": run.figures("vocoder"),
        "models": models,
        "differences": {
            difference_key(baseline): {
                **world_differences(answers["late"], answers[baseline], settings.seed),
                "lens": lens_differences(lens["late"], lens[baseline], seed=settings.seed),
            }
            for baseline in BASELINES
        },
        "curves": {system: trained[system]["history"] for system in COMPARED},
        "selector": evaluated["late"]["selector"],
        "samples": evaluated["late"]["samples"],
        "settings": {
            "text_model": settings.text_model or "trained here",
            "speech": speech,
        },
    }
