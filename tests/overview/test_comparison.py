"""Runs side by side: error rates and text too, other rules folded away, names that are no other one's of their kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.files import write_json, write_jsonl
from smoltolk.overview.writing import sections_of
from smoltolk.report.task_plot import task_svg
from smoltolk.report.wording import points
from smoltolk.speech.recognition.error_rate import rate_interval


def with_more(place: Path, hypotheses: list[str], accuracy: float) -> Path:
    """A run that recognised "a b" some times, and was asked a text task."""
    records = [
        {"id": f"t{n}", "reference": "a b", "hypothesis": heard, "error": None} for n, heard in enumerate(hypotheses)
    ]
    write_jsonl(place / "recognition.jsonl", records)
    results = json.loads((place / "results.json").read_text())
    errors = sum(heard != "a b" for heard in hypotheses)
    rate = {"value": errors / 8, "low": 0.0, "high": 0.5, "n": 4, "errors": errors, "of": 8}
    results["transcription"] = {
        "recognition": {
            "about": "word errors", "items": 4, "scored": 4, "failures": {}, "notes": [], "normalisation": "jiwer",
            "wer": rate, "cer": rate, "no_end": 0.0, "most_ids": 9, "units_per_second": None,
        }
    }  # fmt: skip
    results["text"] = {"tiny": {"after": {"acc": accuracy, "acc_stderr": 0.1, "sample_len": 10}}}
    write_json(place / "results.json", results)
    return place


def test_error_rates_and_text_are_compared(two_runs: list[Path]) -> None:
    with_more(two_runs[0], ["a b", "a b", "a b", "a c"], 0.5)
    with_more(two_runs[1], ["a c", "a c", "a b", "a c"], 0.95)
    first, others, *alone = sections_of(two_runs)
    low, high = map(points, rate_interval(np.array([1, 1, 0, 0]), np.array([2, 2, 2, 2]), 0))
    assert f"| WER | 4 | 12.5 [0.0, 50.0] | 37.5 [0.0, 50.0] | +25.0 [{low}, {high}] |" in first.text
    assert "| acc | 10 | 50.0 [30.4, 69.6] | 95.0 [75.4, 100.0] |  |" in first.text
    assert "normalisation=sum" not in first.text and "normalisation=sum" in others.text and others.folded
    assert [section.title for section in alone] == ["Evaluation: a", "Evaluation: b"]
    (picture,) = first.pictures
    assert picture.svg.startswith("<svg") and "choices  S → T" in picture.svg
    assert "recognition  WER" in alone[0].pictures[0].svg


def test_other_texts_have_no_difference(two_runs: list[Path]) -> None:
    with_more(two_runs[0], ["a b"] * 4, 0.5)
    with_more(two_runs[1], ["a b"] * 3, 0.5)
    text = sections_of(two_runs)[0].text
    assert "no difference of b to a: 1 items of the one and 0 of the other stand alone" in text
    path = with_more(two_runs[1], ["a b"] * 4, 0.5) / "recognition.jsonl"
    path.write_text(path.read_text().replace('"reference": "a b"', '"reference": "a d"', 1))
    assert "1 items of the same name differ" in sections_of(two_runs)[0].text
    path.unlink()
    assert "records are not there" in sections_of(two_runs)[0].text


def test_a_single_recording_has_no_interval(two_runs: list[Path]) -> None:
    """More errors than words: nothing that ends at 100% may stand beside it."""
    for place, heard in zip(two_runs, ("a b", "c d e"), strict=True):
        results = json.loads((with_more(place, [heard], 0.5) / "results.json").read_text())
        rate = {"value": 1.5 * (heard != "a b"), "low": None, "high": None, "n": 1, "errors": 3, "of": 2}
        results["transcription"]["recognition"] |= {"wer": rate, "cer": rate}
        write_json(place / "results.json", results)
    first, *alone = sections_of(two_runs)
    assert "| WER | 1 | 0.0 | 150.0 | +150.0 |" in first.text
    assert "| WER, % | 150.0 |" in alone[-1].text


def test_a_name_is_no_other_ones_of_its_kind(two_runs: list[Path], tmp_path: Path) -> None:
    trained = tmp_path / "models" / "a"
    write_json(trained / "training.json", {"history": [{"step": 1, "loss": 1.0}], "system": "late"})
    titles = [section.title for section in sections_of([*two_runs, trained])]
    assert "Evaluation: a" in titles and titles[-1] == "Training"


@pytest.mark.parametrize("with_rates", [True, False])
def test_what_is_drawn(make_run: Callable, records_of: Callable, with_rates: bool) -> None:
    place = make_run("x", {"choices": records_of([1, 0, 1])})
    if with_rates:
        with_more(place, ["a b"] * 4, 0.5)
    results = json.loads((place / "results.json").read_text())
    assert ("less is better" in (task_svg(results) or "")) == with_rates
    assert (task_svg(results | {"tasks": {}}) is None) != with_rates
