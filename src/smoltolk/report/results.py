"""What ``results.json`` holds, which of it decides, and a check that says which key is wrong.

Fractions run from 0 to 1, likelihoods are nats. Keys beyond these are allowed; the page shows those it knows
(``differences``, ``world``, ``curves``, ``selector``, ``samples``, ``settings``, ``notes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smoltolk.report import schema

BASELINES = ("early", "early_plus")
COMPARED = ("late", *BASELINES)  # of the systems that can be trained, those that the quick start holds side by side
FURTHER = ("early_long",)  # early fusion trained three times as long; shown where it was run, decides nothing
KINDS = ("story", "fact_heard", "fact_read", "fact_heard_answer", "fact_read_answer")
DIRECTIONS = ("S->S", "T->T", "S->T", "T->S")
LENS = "lens"  # stands for a kind where cells are named: the text head on each layer, right answer against wrong
LENS_WAYS = ("S->S", "T->S")  # while it listens; after it has read, at <switch>
CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome that was named before any run. All ask for facts only read, and count by pairs.

    Attributes:
        name: in ``results["outcomes"]``.
        kind, direction: its cell; for the lens that of the last layer.
        title: what the model does.
    """

    name: str
    kind: str
    direction: str
    title: str


OUTCOMES = (
    Outcome("answer S->T", "fact_read_answer", "S->T", "Hears, writes"),
    Outcome("answer S->S", "fact_read_answer", "S->S", "Hears, speaks"),
    Outcome("answer T->S", "fact_read_answer", "T->S", "Reads, speaks"),
    Outcome("lens S->S", LENS, "S->S", "Inside, while listening"),
)


def is_declared(kind: str, direction: str) -> bool:
    """Whether the pairs of a cell are one of the outcomes that were named before any run."""
    return any((outcome.kind, outcome.direction) == (kind, direction) for outcome in OUTCOMES)


def difference_key(baseline: str) -> str:
    """Key of ``results["differences"]`` for late fusion against another system."""
    return f"late - {baseline}"


def shown_systems(results: Mapping[str, Any]) -> tuple[str, ...]:
    """The systems that were compared, and the further ones that these results hold."""
    return COMPARED + tuple(system for system in FURTHER if system in results["models"])


def layer_names(cells: Mapping[str, Any]) -> list[str]:
    """Layers of one direction of a lens, from the first to the last."""
    return sorted(cells, key=int)


def cell_of(results: Mapping[str, Any], system: str, kind: str, direction: str, pair: bool = False) -> Mapping:
    """``{"accuracy", "low", "high", "n"}`` of one system; of a lens that of the last layer."""
    cell = results["models"][system][kind][direction]
    if kind == LENS:
        cell = cell[layer_names(cell)[-1]]
    return cell["pair"] if pair else cell


_CELL = schema.with_pair(schema.inside("accuracy", 0, 1))
_DIFFERENCE = schema.with_pair(schema.inside("difference", -1, 1))


def _of_kinds(cell: schema.Check, lens: schema.Check) -> dict[str, schema.Check]:
    """Checks of every kind and of the lens."""
    cells = {kind: schema.keys(**dict.fromkeys(DIRECTIONS, cell)) for kind in KINDS}
    return {**cells, LENS: schema.keys(**dict.fromkeys(LENS_WAYS, lens))}


def _declared(value: Any, path: str) -> None:
    names = [outcome.name for outcome in OUTCOMES]
    if not isinstance(value, list | tuple) or list(value) != names:
        raise schema.failure(path, f"the outcomes that were named before the run, {names}", value)


_positive = schema.number(0)
_MODEL = schema.keys(
    **_of_kinds(_CELL, schema.layers(_CELL)),
    speech_nll=_positive,
    text_nll_before=_positive,
    text_nll_after=_positive,
    recognition_wer=_positive,
    synthesis_wer=_positive,
    parameters=schema.number(1, whole=True),
    train_tokens_per_second=_positive,
)
_RESULTS = schema.keys(
    seed=schema.number(whole=True),
    scale=schema.text,
    outcomes=_declared,
    seconds=schema.numbers,
    tokens=schema.numbers,
    units=schema.keys(
        pnmi=schema.number(0, 1),
        purity=schema.number(0, 1),
        cross_voice_seen=_positive,
        cross_voice_unseen=_positive,
        units_per_second=_positive,
    ),
    vocoder=schema.keys(wer_natural=_positive, wer_copy=_positive, wer_units=_positive),
    models=schema.keys(**dict.fromkeys(COMPARED, _MODEL)),
)
_WORLD = dict.fromkeys(("people", "facts", "heard", "words", "times_heard"), _positive)
_DIFFERENCES = schema.keys(**_of_kinds(_DIFFERENCE, _DIFFERENCE))


def validate_results(results: Mapping[str, Any]) -> None:
    """Hold a results dictionary against the schema.

    Keys beyond the schema are allowed; of those that the page draws, further systems, ``world``, ``curves`` and
    ``differences`` are checked too.

    Raises:
        InputError: a missing key, a wrong type, a number that is not finite or out of range, or an accuracy
            outside its own interval; the message names the key, e.g. ``models.late.story.S->S.low``.
    """
    _RESULTS(results, "")
    for system in shown_systems(results)[len(COMPARED) :]:
        _MODEL(results["models"][system], f"models.{system}")
    world = schema.mapping(results.get("world", {}), "world")
    for key in _WORLD.keys() & world.keys():
        _WORLD[key](world[key], f"world.{key}")
    for system, points in schema.mapping(results.get("curves", {}), "curves").items():
        for index, point in enumerate(points):
            schema.keys(step=_positive)(point, f"curves.{system}[{index}]")
    for key, cells in schema.mapping(results.get("differences", {}), "differences").items():
        _DIFFERENCES(cells, f"differences.{key}")
