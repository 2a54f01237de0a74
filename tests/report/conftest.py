"""Results with invented numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smoltolk.report.results import (
    COMPARED,
    DIRECTIONS,
    FURTHER,
    KINDS,
    LENS_WAYS,
    OUTCOMES,
    difference_key,
    layer_names,
)

_WAYS = {**dict.fromkeys(KINDS, DIRECTIONS), "lens": LENS_WAYS}
_LAST = {"late": 3, "early": 3, "early_plus": 5, "early_long": 3}  # layers


def _scores(accuracy: float, width: float, n: int) -> dict[str, float]:
    return {"accuracy": accuracy, "low": max(0.0, accuracy - width), "high": min(1.0, accuracy + width), "n": n}


def _cell(single: float, pair: float) -> dict[str, Any]:
    """A cell with intervals to both sides."""
    return _scores(single, 0.04, 500) | {"pair": _scores(pair, 0.05, 250)}


def _gap(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    gap = first["accuracy"] - second["accuracy"]
    return {"difference": gap, "low": gap - 0.03, "high": gap + 0.03, "n": first["n"]}


def _difference(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return _gap(first, second) | {"pair": _gap(first["pair"], second["pair"])}


def _made_results(pairs: dict[str, dict[tuple[str, str], float]] | None = None, **singles: Any) -> dict[str, Any]:
    """Results in which every cell is 0.7 but those given, e.g. ``late={("story", "S->S"): 0.5}`` for single
    questions and ``pairs={"late": {("lens", "S->S"): 0.5}}``. Early fusion trained longer is there if it is
    named."""
    pairs = pairs or {}
    models: dict[str, Any] = {}
    for number, system in enumerate([*COMPARED, *(s for s in FURTHER if s in singles or s in pairs)]):
        single, pair = singles.get(system, {}), pairs.get(system, {})
        cells = {
            kind: {way: _cell(single.get((kind, way), 0.7), pair.get((kind, way), 0.7)) for way in ways}
            for kind, ways in _WAYS.items()
        }
        cells["lens"] = {
            way: {str(layer): _cell(0.55 + layer / 100, 0.56 + layer / 100) for layer in range(_LAST[system])}
            | {str(_LAST[system]): cell}
            for way, cell in cells["lens"].items()
        }
        models[system] = cells
        models[system] |= {
            "speech_nll": 1.5 + number / 10,
            "text_nll_before": 0.9,
            "text_nll_after": 0.95,
            "recognition_wer": 0.1,
            "recognition_wer_low": 0.08,
            "recognition_wer_high": 0.13,
            "synthesis_wer": 1.2,
            "parameters": 1_410_000,
            "train_tokens_per_second": 9876.5,
        }
    results: dict[str, Any] = {
        "seed": 0,
        "scale": "small",
        "outcomes": [outcome.name for outcome in OUTCOMES],
        "seconds": {"world": 0.4, "speech": 58.0, "train-late": 151.0, "total": 210.0},
        "tokens": {"training_each": 1_500_000},
        "units": {
            "pnmi": 0.81,
            "purity": 0.88,
            "cross_voice_seen": 0.13,
            "cross_voice_unseen": 0.47,
            "units_per_second": 12.4,
        },
        "vocoder": {"wer_natural": 0.05, "wer_copy": 0.06, "wer_units": 0.07},
        "models": models,
    }
    results["differences"] = {
        difference_key(other): {
            kind: {way: _difference(*(_both(results, system, kind, way) for system in ("late", other))) for way in ways}
            for kind, ways in _WAYS.items()
        }
        for other in models
        if other != "late"
    }
    return results


def _both(results: dict[str, Any], system: str, kind: str, way: str) -> dict[str, Any]:
    """A cell; of the lens that of the last layer."""
    cell = results["models"][system][kind][way]
    return cell[layer_names(cell)[-1]] if kind == "lens" else cell


@pytest.fixture(scope="session")
def make_results() -> Callable[..., dict[str, Any]]:
    """``make_results(pairs={"late": {("fact_read_answer", "S->S"): 0.5}}, ...)``: results with invented numbers."""
    return _made_results
