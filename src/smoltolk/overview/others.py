"""Quick starts, analyses, ablations, experiments and trainings: each as one part of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from smoltolk.analysis.request import TITLES
from smoltolk.common.errors import InputError
from smoltolk.common.files import read_text
from smoltolk.overview.kinds import log_of
from smoltolk.overview.run import Run, damage_named, sounds_of
from smoltolk.report import schema
from smoltolk.report.log_plots import held_out_svg, running_svg, selector_by_step_svg
from smoltolk.report.outcome_plots import lens_svg, outcomes_svg
from smoltolk.report.plots import accuracy_svg, curves_svg, selector_svg
from smoltolk.report.quickstart_table import quickstart_markdown
from smoltolk.report.results import shown_systems
from smoltolk.report.sections import Picture, Section, Sound
from smoltolk.report.titles import SYSTEM_TITLES
from smoltolk.report.training_plot import training_svg, training_table
from smoltolk.report.wording import arrow
from smoltolk.training.loop.log import RunLog

_DRAWN: Mapping[str, tuple[str, Callable[..., str]]] = {
    "outcomes": ("Facts only read: pairs of questions that are right, in %, with 95% intervals.", outcomes_svg),
    "lens": ("Facts only read: the text head on each layer, pairs right, in %, with 95% intervals.", lens_svg),
    "accuracy": ("Each question by itself: accuracy with 95% intervals.", accuracy_svg),
    "curves": ("Training curves.", curves_svg),
    "selector": ("Mean weight of each layer on held-out speech.", selector_svg),
}
_FOR_PHONES = ("outcomes", "lens", "accuracy")  # which can be drawn narrow
_POINT = schema.keys(step=schema.number(0))
_COLOURS = {
    "late": "Blue circles: late fusion", "early": "orange squares: early fusion",
    "early_plus": "grey diamonds: early fusion+", "early_long": "violet triangles: early fusion, trained longer",
}  # fmt: skip


def quickstart_section(run: Run) -> Section:
    """Verdict, outcomes, every cell, figures and samples of a quick start.

    Raises:
        InputError: its results are damaged.
    """
    with damage_named(run.place / "results.json"):
        lead, _, tables = quickstart_markdown(run.found).partition("\n\n## ")
        drawn = {name: draw(run.found) for name, (_, draw) in _DRAWN.items()}
        narrow = {name: _DRAWN[name][1](run.found, narrow=True) for name in _FOR_PHONES}
        told = _told(run.found.get("samples", ()))
        colours = "; ".join(_COLOURS[system] for system in shown_systems(run.found)) + "."
    pictures = [
        Picture(
            name, _DRAWN[name][0] if name == "selector" else f"{_DRAWN[name][0]} {colours}", svg, of_page=True,
            narrow=narrow.get(name, ""),
        )
        for name, svg in drawn.items()
        if svg
    ]  # fmt: skip
    place, sounds = str(run.place), sounds_of(run, told)
    return Section(f"Quick start: {run.name}", place, f"## {tables}", tuple(pictures), sounds, lead=lead)


def analysis_section(run: Run) -> Section:
    """Figures and tables of an analysis as its command left them.

    Raises:
        InputError: it is damaged, or its tables or some figures are not there.
    """
    with damage_named(run.place / "analysis.json"):
        schema.keys(models=schema.keys())(run.found, "")
        models = list(run.found["models"].items())
        parts = {
            name: None
            for _, model in models
            for name, part in model.items()
            if isinstance(part, dict) and not isinstance(part.get("left_out"), str)
        }
    pictures = [
        Picture(name, f"{TITLES.get(name, name)}; bands and bars are 95% intervals.", _left(run, f"{name}.svg"))
        for name in parts
    ]
    text = _left(run, "analysis.md")
    return Section(f"Analysis: {run.name}", str(run.place), text, tuple(pictures), sounds_of(run), folded=True)


def ablation_section(run: Run) -> Section:
    """Figure and tables of an ablation as its command left them.

    Raises:
        InputError: it is damaged, or its tables or figure are not there.
    """
    with damage_named(run.place / "ablation.json"):
        schema.keys(variants=schema.keys(), seeds=_list)(run.found, "")
    picture = Picture("ablation", "Outcomes of each variant, with 95% intervals.", _left(run, "ablation.svg"))
    return Section(f"Ablation: {run.name}", str(run.place), _left(run, "ablation.md"), (picture,), sounds_of(run))


def experiment_section(run: Run) -> Section:
    """The table of an experiment with a recipe as its command left it.

    Raises:
        InputError: it is damaged, or its table is not there.
    """
    with damage_named(run.place / "results.json"):
        schema.keys(arms=schema.keys(), seeds=_list)(run.found, "")
        question = run.found.get("question")
    title = f"Experiment: {run.name}" + (f", {question}" if question else "")
    return Section(title, str(run.place), _left(run, "results.md"))


def training_section(runs: Sequence[Run]) -> Section:
    """Curves of trainings together, and where they ended; of those that have a log what it holds beside.

    Raises:
        InputError: a training without a history, or a damaged one.
    """
    histories = {}
    for run in runs:
        with damage_named(run.place / ("training.json" if (run.place / "training.json").is_file() else "log.jsonl")):
            schema.keys(history=_list)(run.found, "")
            history = run.found["history"]
            for number, point in enumerate(history):
                _POINT(point, f"history[{number}]")
                for key in (key for key in point if key.endswith(("loss", "rate"))):
                    schema.number()(point[key], f"history[{number}].{key}")
            if not history:
                raise InputError("history has a step at least", "none", "leave this model out")
        histories[run.name] = history
    svg = training_svg(histories)
    curves = (Picture("curves", "Training curves.", svg, of_page=True),) if svg else ()
    pictures = curves + _of_logs({run.name: run.place for run in runs})
    sounds = tuple(sound for run in runs for sound in _latest(sounds_of(run)))
    places = ", ".join(str(run.place) for run in runs)
    return Section("Training", places, f"# Training\n\n{training_table(histories)}\n", pictures, sounds)


def _latest(sounds: Sequence[Sound]) -> list[Sound]:
    """Of samples that a training makes at several steps, in a folder each, those of the last one."""
    last = max((sound.path.parent for sound in sounds), default=None)
    return [sound for sound in sounds if sound.path.parent == last]


def _of_logs(places: Mapping[str, Path]) -> tuple[Picture, ...]:
    """Figures of the logs that there are."""
    paths = {name: log_of(place) for name, place in places.items()}
    logs = {name: list(RunLog(path)) for name, path in paths.items() if path is not None}
    with damage_named(Path(", ".join(str(path) for path in paths.values() if path is not None))):
        drawn = {
            "held-out": ("Held-out figures.", held_out_svg(logs)),
            "running": ("Gradients, speed and memory.", running_svg(logs)),
        }
        for number, (name, lines) in enumerate(logs.items()):
            title = f"Mean weight of each layer where held-out speech is predicted: {name}."
            drawn[f"selector-{number}"] = (title, selector_by_step_svg(lines, str(number)))
    return tuple(Picture(name, title, svg, of_page=True) for name, (title, svg) in drawn.items() if svg)


def _told(samples: Any) -> dict[str, tuple[str, str]]:
    """Title and words of the files of a quick start's samples."""
    told = {}
    for sample in samples:
        way = arrow(sample["direction"])
        if sample.get("prompt_audio"):
            told[sample["prompt_audio"]] = (f"Prompt, {sample['id']}", sample["prompt_text"])
        if sample.get("audio"):
            system = SYSTEM_TITLES.get(sample["system"], sample["system"])
            told[sample["audio"]] = (f"{system}, {sample['id']}, {way}", sample.get("text") or "")
    return told


def _list(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise schema.failure(path, "a list", value)


def _left(run: Run, name: str) -> str:
    """A text that a command leaves beside its figures."""
    path: Path = run.place / name
    text = read_text(path)
    if not text:
        fix = "run its command again: what is done is kept"
        raise InputError(f"a directory of {run.kind} holds {name}", f"no {path}", fix)
    return text
