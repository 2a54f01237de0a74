"""Figures of a card are those of the report: pairs, chance, intervals, and its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError
from smoltolk.inference.bundle_card import _figures
from smoltolk.inference.bundle_figures import read_figures, read_verdict


@pytest.fixture
def results(chance_results: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "results.json").write_text(json.dumps(chance_results))
    return tmp_path / "results.json"


def test_of_a_quick_start(results: Path) -> None:
    figures = {one["what"]: one for one in read_figures(results, ["copy", "early"])}
    assert len(figures) == 5 * 4 + 2 + 2
    read = figures["Facts only read, answer alone, S->T"]
    assert read == {
        "what": "Facts only read, answer alone, S->T", "value": 0.5, "low": 0.4, "high": 0.6, "n": 250, "of": "pairs",
        "chance": 0.5, "from": "quick start",
    }  # fmt: skip
    assert figures["Text head on the last layer, while listening, S->S"]["value"] == 0.55
    assert figures["Recognition, word error rate"] == {
        "what": "Recognition, word error rate", "value": 0.9, "low": 0.8, "high": 1.1, "from": "quick start",
    }  # fmt: skip
    verdict = read_verdict(results)
    assert verdict is not None and "learnt too little here to say anything" in verdict and "one seed" in verdict
    card = _figures(list(figures.values()), [verdict])
    assert card.startswith("The speech models learnt too little")
    assert "| Stories, S->S | 50.0 | 40.0 to 60.0 | 50 | 250 pairs |" in card
    assert "| Recognition, word error rate | 90.0 | 80.0 to 110.0 |  |  |" in card


def test_whose_figures_they_are_must_be_known(results: Path) -> None:
    with pytest.raises(InputError, match=r"late, early, early_plus\n.*'model' or 'other'\n.*--system"):
        read_figures(results, ["model", "other"])


def test_results_that_are_none(results: Path, tmp_path: Path) -> None:
    damaged = json.loads(results.read_text())
    del damaged["models"]["late"]["story"]["S->S"]["pair"]
    other = tmp_path / "other.json"
    for found, told in ((damaged, r"models\.late\.story"), ({"weather": 1}, "figures of a card"), ([], "figures of"),
                        (3, "figures of"), ({"tasks": {"a": {"rules": {}}}}, "figures of")):  # fmt: skip
        other.write_text(json.dumps(found))
        with pytest.raises(InputError, match=told):
            read_figures(other, ["late"])
    assert read_verdict(other) is None


def test_of_an_evaluation_whose_single_recording_has_no_bounds(tmp_path: Path) -> None:
    rules = {"ours": {"cells": {"S->T": {"accuracy": 0.3, "low": 0.2, "high": 0.4, "n": 9}}}}
    rate = {"value": 1.5, "low": None, "high": None, "n": 1}
    results = {"tasks": {"shs": {"chance": 0.25, "rules": rules}}, "transcription": {"recognition": {"wer": rate}}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert read_figures(tmp_path / "results.json", "late") == [
        {"what": "shs, S->T (ours)", "value": 0.3, "low": 0.2, "high": 0.4, "n": 9, "chance": 0.25, "from": "evaluate"},
        {"what": "recognition, word error rate", "value": 1.5, "from": "evaluate"},
    ]
