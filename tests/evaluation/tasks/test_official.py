"""Ours beside the official scorer of sLM21: its figures of a tiny set of a seed, frozen by `make official`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.aggregates import cells_of
from smoltolk.evaluation.runs.judging import judge
from smoltolk.evaluation.runs.presets import PRESETS
from smoltolk.evaluation.runs.results import submissions
from smoltolk.evaluation.tasks.zerospeech import SBLIMP, SWUGGY

COLUMNS = {
    "lexical": ["filename", "id", "voice", "frequency", "word", "phones", "length", "correct"],
    "syntactic": ["filename", "id", "voice", "type", "subtype", "transcription", "correct"],
}
TASKS = {"lexical": SWUGGY, "syntactic": SBLIMP}
_FREQUENCIES = ("0", "1", "4", "5", "20", "99", "100", "7000")
_TYPES = ("anaphor_agreement", "island_effects", "quantifiers")


def rows_of(subset: str) -> list[dict[str, str]]:
    """The gold table."""
    rows = []
    for number in range(18):
        kind, frequency = _TYPES[number % 7 % 3], _FREQUENCIES[number % 8]
        for voice in ("A", "B", "C"):
            for correct in ("1", "0"):
                name = f"{subset[:3]}{number:02d}{voice}{correct}"
                row = {"filename": name, "id": str(number), "voice": voice, "correct": correct}
                if subset == "lexical":
                    row |= {
                        "frequency": frequency,
                        "word": f"w{number}",
                        "phones": "p p",
                        "length": str(2 + number % 4),
                    }
                else:
                    row |= {"type": kind, "subtype": f"{kind}{number % 2}", "transcription": f"say {number}"}
                rows.append(row)
    return rows


def records_of(subset: str) -> list[dict[str, Any]]:
    """Records as a run leaves them; likelihoods have one decimal, so that some are equal."""
    rng = np.random.default_rng(len(subset))
    keys = ("id",) if subset == "lexical" else ("type", "subtype", "id")
    rows, records = rows_of(subset), []
    for right, wrong in zip(rows[::2], rows[1::2], strict=True):
        question = "/".join(right[key] for key in keys)
        nll = [[round(float(value), 1)] for value in rng.normal(2.0, 0.4, 2)]
        records.append(
            {
                "id": f"{question}/{right['voice']}", "cell": f"{subset} dev", "shape": "->S", "question": question,
                "cluster": question, "rival": question, "mirror": None, "right": 0, "error": None, "before": [[[]]],
                "strata": right | {"stems": f"{right['filename']} {wrong['filename']}"}, "nll": [nll],
                "end": [[[], []]],
            }
        )  # fmt: skip
    return records


def submit(folder: Path) -> Path:
    """Write our submission of both tasks."""
    for subset, task in TASKS.items():
        submissions(task, records_of(subset), PRESETS["ours"], folder.parent)
    return folder


def figures() -> dict[str, Any]:
    """Ours, by the names of the official ones."""
    cells = {}
    for subset, task in TASKS.items():
        (cells[subset],) = cells_of(judge(records_of(subset), Rule()), task.aggregate, Rule(), 0).values()
    words, sentences = cells["lexical"], cells["syntactic"]

    def each(found: dict[str, Any]) -> dict[str, float]:
        return {name: cell["accuracy"] for name, cell in found.items()}

    return {
        "swuggy": words["accuracy"],
        "swuggy_in_vocabulary": words["in_vocabulary"]["accuracy"],
        "sblimp_by_pair": sentences["by_pair"]["accuracy"],
        "sblimp": sentences["accuracy"],
        "by_frequency": each(words["by_frequency"]),
        "by_length": each(words["by_length"]),
        "by_type": each(sentences["by_type"]),
    }


def read_scores(path: Path) -> dict[str, float]:
    """A submission's file."""
    with path.open() as file:
        return {name: float(score) for name, score in csv.reader(file, delimiter=" ")}


def test_the_official_figures_are_ours() -> None:
    frozen = json.loads((Path(__file__).parent / "official.json").read_text())
    ours = figures()
    assert frozen.keys() == ours.keys()
    for name, value in frozen.items():  # four decimals
        assert ours[name] == pytest.approx(value, abs=5e-5), name


def test_the_submission_has_a_score_for_each_row(tmp_path: Path) -> None:
    folder = submit(tmp_path / "submission")
    for subset in TASKS:
        scores = read_scores(folder / subset / "dev.txt")
        assert list(scores) == [row["filename"] for row in rows_of(subset)]
        for record in records_of(subset):
            stems = record["strata"]["stems"].split()
            assert [scores[stem] for stem in stems] == [-nll[0] for nll in record["nll"][0]]
