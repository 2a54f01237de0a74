"""Figures that others published, to stand beside ours; each with the rule that it was measured by.

Second hand where a paper states them without code: compare, do not quote.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A figure.

    Attributes:
        task, cell: what was measured.
        system: by whom and how large.
        accuracy: fraction.
        rule: the preset that comes closest to how it was measured.
    """

    task: str
    cell: str
    system: str
    accuracy: float
    rule: str


_WAYS = ("S->S", "T->T", "S->T", "T->S")
_JOINT = {  # late fusion, joint training, no residual
    ("ssc", "150M"): (55.2, 64.1, 58.3, 58.5), ("tsc", "150M"): (82.0, 88.2, 80.6, 75.3),
    ("ssc", "400M"): (57.2, 68.6, 61.9, 62.3), ("tsc", "400M"): (84.6, 91.4, 85.0, 80.8),
    ("ssc", "2B"): (61.6, 73.7, 64.0, 64.0), ("tsc", "2B"): (87.6, 92.5, 86.9, 84.0),
}  # fmt: skip
_FIGURES = [
    Published(task, way, f"LF2AR {size}", value / 100, "lf2ar")
    for (task, size), values in _JOINT.items()
    for way, value in zip(_WAYS, values, strict=True)
] + [
    Published("tsc", "S->S", "SmolTolk 2B", 0.876, "smoltolk-release"),
    Published("sblimp", "syntactic test", "SmolTolk 2B", 0.619, "smoltolk-release"),
    Published("tsc", "T->S", "SmolTolk 400M", 0.809, "smoltolk-release"),
    Published("tsc", "T->S", "SmolTolk 400M without layer selection", 0.778, "smoltolk-release"),
]


def published(task: str) -> list[Published]:
    """All figures of a task."""
    return [figure for figure in _FIGURES if figure.task == task]
