"""What a card tells of results: values with their bounds, where there are some, and with what guessing gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_json
from smoltolk.inference.bundle_figures import read_figures


def figures_of(results: dict[str, Any], place: Path) -> dict[str, dict[str, Any]]:
    write_json(place, results)
    return {figure.pop("what"): figure for figure in read_figures(place)}


def test_of_a_quick_start(tmp_path: Path) -> None:
    cell = {"accuracy": 0.6, "low": 0.4, "high": 0.8, "n": 24}
    late = {"story": {"S->S": cell}, "recognition_wer": 0.9, "recognition_wer_low": 0.7, "recognition_wer_high": 1.1}
    found = figures_of({"models": {"late": late | {"synthesis_wer": 1.2}}}, tmp_path / "results.json")
    assert found["the end of a story, S->S (chance 0.5)"]["value"] == 0.6
    assert found["recognition, word error rate"] == {"value": 0.9, "low": 0.7, "high": 1.1, "from": "quick start"}
    assert found["synthesis, word error rate of a judge"] == {"value": 1.2, "from": "quick start"}


def test_of_an_evaluation(tmp_path: Path) -> None:
    rules = {"ours": {"cells": {"S->T": {"accuracy": 0.3, "low": 0.2, "high": 0.4, "n": 9}}}}
    rate = {"value": 1.5, "low": None, "high": None, "n": 1}  # of a single recording
    results = {"tasks": {"shs": {"chance": 0.25, "rules": rules}}, "transcription": {"recognition": {"wer": rate}}}
    found = figures_of(results, tmp_path / "results.json")
    assert found["shs, S->T (ours, chance 0.25)"] == {"value": 0.3, "low": 0.2, "high": 0.4, "n": 9, "from": "evaluate"}
    assert found["recognition, word error rate"] == {"value": 1.5, "from": "evaluate"}


@pytest.mark.parametrize("results", [{"weather": "fine"}, {"models": {"early": {}}}, {"tasks": {"x": {}}}])
def test_what_has_none(results: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="figures of a card"):
        figures_of(results, tmp_path / "results.json")
