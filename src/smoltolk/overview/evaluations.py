"""Runs of ``smoltolk evaluate``, each by itself."""

from __future__ import annotations

from typing import Any

from smoltolk.overview.run import Run, damage_named, sounds_of
from smoltolk.report import schema
from smoltolk.report.sections import Picture, Section
from smoltolk.report.task_plot import task_svg
from smoltolk.report.task_table import task_markdown

_RESULTS = schema.keys(
    model=schema.keys(name=schema.text, fingerprint=schema.text),
    version=schema.text,
    precision=schema.text,
    seed=schema.number(whole=True),
    tasks=schema.keys(),
)
_CELL = schema.inside("accuracy", 0, 1)


def evaluation_section(run: Run) -> Section:
    """A run by itself.

    Raises:
        InputError: its results are damaged.
    """
    place = run.place / "results.json"
    with damage_named(place):
        _check(run.found)
        text = task_markdown(run.found)
        svg = task_svg(run.found)
        told = ", diamonds: published" if any(task["published"] for task in run.found["tasks"].values()) else ""
    title = f"Accuracy of each task and error rates, with 95% intervals; dashed: chance{told}."
    pictures = () if svg is None else (Picture("accuracy", title, svg),)
    return Section(f"Evaluation: {run.name}", str(run.place), text, pictures, sounds_of(run))


def _check(results: Any) -> None:
    _RESULTS(results, "")
    for name, task in results["tasks"].items():
        for rule, found in task["rules"].items():
            for cell, value in found["cells"].items():
                _CELL(value, f"tasks.{name}.rules.{rule}.cells.{cell}")
