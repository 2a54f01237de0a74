"""``smoltolk report``: from directories to one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smoltolk.overview.evaluations import evaluation_section
from smoltolk.overview.others import (
    ablation_section,
    analysis_section,
    experiment_section,
    quickstart_section,
    training_section,
)
from smoltolk.overview.run import Run, found_in, names_of
from smoltolk.report.overview import write_markdown, write_page
from smoltolk.report.sections import Section

EMBED = 20.0  # megabytes
_ALONE = {
    "evaluation": evaluation_section,
    "quick start": quickstart_section,
    "analysis": analysis_section,
    "ablation": ablation_section,
    "experiment": experiment_section,
}


def sections_of(places: Sequence[Path]) -> list[Section]:
    """What is told of some directories: evaluations side by side first, then each by itself, trainings together.

    Args:
        places: directories of :mod:`~smoltolk.overview.kinds`.

    Raises:
        NotFoundError: no such directory.
        InputError: one of another kind, damaged, not finished, or named twice.
    """
    found = found_in(places)
    runs = []
    for kind in dict.fromkeys(kind for _, kind, _ in found):  # a name is no other one's of its kind
        alike = [one for one in found if one[1] == kind]
        names = names_of([place for place, _, _ in alike])
        runs += [Run(name, *one) for name, one in zip(names, alike, strict=True)]
    sections = [section(run) for kind, section in _ALONE.items() for run in runs if run.kind == kind]
    trainings = [run for run in runs if run.kind == "training"]
    if trainings:
        sections.append(training_section(trainings))
    evaluations = [run for run in runs if run.kind == "evaluation"]
    if len(evaluations) < 2:
        return sections
    # Rules come with torch, which no other part of a page takes seconds for.
    from smoltolk.overview.comparison import comparison_sections

    together = comparison_sections(evaluations)
    # What stands side by side need not be read once more.
    alone = [replace(one, folded=bool(together)) for one in sections[: len(evaluations)]]
    return [*together, *alone, *sections[len(evaluations) :]]


def write_overview(places: Sequence[Path], out: Path, markdown: Path | None = None, embed: float = EMBED) -> int:
    """Write the page about some directories, and the same as markdown if asked for.

    Args:
        places: as for :func:`sections_of`.
        out: the page.
        markdown: a file; its figures lie beside it in ``NAME-figures``.
        embed: megabytes of sound inside the page.

    Returns:
        How many recordings are links.

    Raises:
        NotFoundError, InputError: as :func:`sections_of`; nothing is written then.
    """
    sections = sections_of(places)
    linked = write_page(sections, out, embed)
    if markdown is not None:
        write_markdown(sections, markdown)
    return linked
