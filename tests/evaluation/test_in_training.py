"""Small question sets are what evaluate_clozes asks, some of each kind, with their mirror images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import write_jsonl
from smoltolk.evaluation.in_training import cloze_measure
from smoltolk.evaluation.runs.world_answers import answers_of, world_cells


@pytest.fixture
def questions(clozes: Any, tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "world" / "clozes.jsonl", (asdict(cloze) for cloze in clozes))
    return tmp_path / "world"


def test_some_of_each_kind_are_asked(
    questions: Path, corpus: Any, tokenizer: Any, model: Any, items: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoltolk.evaluation.in_training.read_shards", lambda place: corpus)
    with torch.no_grad():
        figures = cloze_measure([f"{questions}=shards"], 10**6, tokenizer)(model, 3)
        all_of_them = world_cells(answers_of(model, items), 0)
        expected = {
            f"{kind}/{way}": cell.get("pair", cell)["accuracy"]
            for kind, ways in all_of_them.items()
            for way, cell in ways.items()
        }
        assert figures == expected and any(kind.startswith("fact_read/") for kind in figures)
        few = cloze_measure([f"{questions}=shards"] * 2, 1, tokenizer)(model, 3)
    assert {f"{number}-{name}" for number in (1, 2) for name in expected} == set(few)
    assert all(few[f"1-{name}"] == few[f"2-{name}"] for name in expected)


def test_what_is_not_there_is_told_before_the_training(questions: Path, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="QUESTIONS=SHARDS"):
        cloze_measure(["world"], 3, tokenizer)
    with pytest.raises(NotFoundError):
        cloze_measure([f"{questions}={questions / 'none'}"], 3, tokenizer)
