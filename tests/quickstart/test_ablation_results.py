"""Results from finished trials: means, differences with intervals, what is missing; and how a page shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from smoltolk.common.files import write_json, write_jsonl
from smoltolk.evaluation.cloze import cell_of
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.records import Record
from smoltolk.quickstart.ablation_figure import ablation_svg
from smoltolk.quickstart.ablation_results import gather, mean_difference
from smoltolk.quickstart.ablation_table import markdown
from smoltolk.quickstart.trials import Ablation, Trial

WAYS = ("S->S", "T->T", "S->T", "T->S")
DATA = {0: {"place": "here", "text_nll_before": 0.6}, 1: {"place": "there", "text_nll_before": 0.7}}


def records(right: int, **more: Any) -> list[dict[str, Any]]:
    """Twenty questions about as many facts, two that mirror each other, of whose ten pairs so many are right."""
    margins = [1.0 if number // 2 < right else -1.0 for number in range(20)]
    return [
        {
            "id": f"q{n:02d}", "mirror": f"q{n ^ 1:02d}", "fact": f"f{n:02d}", "rival": f"f{n ^ 1:02d}",
            "points": float(margin > 0), "margin": margin, **more,
        }
        for n, margin in enumerate(margins)
    ]  # fmt: skip


def answered(rows: list[dict[str, Any]], cell: str) -> list[Record]:
    """Records of a run with these margins."""
    return [
        {
            "id": row["id"], "cell": cell, "shape": cell.split()[1], "question": min(row["id"], row["mirror"]),
            "cluster": row["fact"], "rival": row["rival"], "mirror": row["mirror"], "strata": {}, "right": 0,
            "prompt": "", "options": ["a", "b"], "error": None, "before": None, "end": [[[], []]],
            "nll": [[[2.0], [2.0 + row["margin"]]]],
        }
        for row in rows
    ]  # fmt: skip


def finish(asked: Ablation, trial: Trial, right: dict[str, int], **more: Any) -> None:
    """A trial that answers so many pairs right in each direction, and by the lens."""
    folder = asked.out / "evaluation" / trial.name
    cells: dict[str, Any] = {}
    answers: list[Record] = []
    for kind in ("fact_read_answer", "fact_heard_answer", "story"):
        for way in WAYS:
            rows = records(right.get(way, 10))
            answers += answered(rows, f"{kind} {way}")
            cells.setdefault(kind, {})[way] = cell_of(rows, Rule(), 0)
    lens = [
        row
        for way in ("S->S", "T->S")
        for layer in ("2", "10")
        for row in records(right["lens"] if layer == "10" else 5, direction=way, layer=layer)
    ]
    write_jsonl(folder / "world.jsonl", answers)
    write_jsonl(folder / "lens.jsonl", lens)
    layers = {layer: cell_of([row for row in lens[:40] if row["layer"] == layer], Rule(), 0) for layer in ("2", "10")}
    figures = {
        "parameters": 1_430_000, "train_seconds": 301.4, "train_tokens": 10, "history": [{"loss": 1.0}], **cells,
        "lens": {"S->S": layers}, "speech_nll": 0.5, "text_nll_after": 0.61, "rate": 3e-3, "steps": 2000, "factor": 1.0,
    }  # fmt: skip
    write_json(asked.out / "steps" / f"{trial.name}.json", {"seconds": 400.0, "figures": figures | more})


@pytest.fixture
def asked(tmp_path: Path) -> Ablation:
    """Late fusion twice, early fusion once, and nothing of early+."""
    asked = Ablation(tmp_path, "small", (0, 1), ("late", "early", "early_plus"), num_steps=2000)
    finish(asked, Trial("late", 0), {"S->S": 9, "S->T": 8, "T->S": 7, "lens": 6})
    finish(asked, Trial("late", 1), {"S->S": 7, "S->T": 8, "T->S": 7, "lens": 6})
    finish(asked, Trial("early", 1), {"S->S": 5, "S->T": 8, "T->S": 9, "lens": 4}, speech_nll=0.55)
    return asked


def test_figures_means_and_what_is_missing(asked):
    results = gather(asked, DATA)
    assert set(results) == {"scale", "seeds", "steps", "rates", "data", "variants", "missing"}
    assert (results["scale"], results["seeds"], results["steps"], results["rates"]) == ("small", [0, 1], 2000, [])
    late, early, plus = results["variants"].values()
    assert list(results["variants"]) == ["late", "early", "early_plus"]
    assert set(late["seeds"]) == {"0", "1"} and set(early["seeds"]) == {"1"} and plus["seeds"] == {}
    figures = late["seeds"]["0"]
    assert {"fact_read_answer", "story", "lens", "speech_nll", "text_nll_after", "parameters", "train_seconds"} <= set(
        figures
    )
    assert "history" not in figures
    assert late["outcomes"]["answer S->S"]["mean"] == pytest.approx(0.8)
    assert late["outcomes"]["lens S->S"]["mean"] == pytest.approx(0.6)  # of layer 10, not of 2
    assert plus["outcomes"]["answer S->S"] == {"mean": None, "difference": None} and plus["heard"] is None
    assert results["missing"] == [
        {"variant": "early", "seed": 0}, {"variant": "early_plus", "seed": 0}, {"variant": "early_plus", "seed": 1},
    ]  # fmt: skip
    json.loads(json.dumps(results, allow_nan=False))


def test_differences_are_paired_within_the_seeds_that_both_have(asked):
    early = gather(asked, DATA)["variants"]["early"]["outcomes"]
    assert early["answer S->S"]["difference"]["seeds"] == [1]
    assert early["answer S->S"]["difference"]["difference"] == pytest.approx(-0.2)
    assert early["answer T->S"]["difference"]["difference"] == pytest.approx(0.2)
    assert early["lens S->S"]["difference"]["difference"] == pytest.approx(-0.2)
    same = early["answer S->T"]["difference"]
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)
    for outcome in early.values():
        found = outcome["difference"]
        assert found["low"] <= found["difference"] <= found["high"]


def test_the_interval_of_a_mean_over_seeds():
    one = {"difference": 0.1, "low": 0.0, "high": 0.3}
    assert mean_difference([one]) == pytest.approx(one)
    found = mean_difference([one, one, one, one])
    assert found == pytest.approx({"difference": 0.1, "low": 0.05, "high": 0.2})  # half as wide
    # As the means of independent normal estimates: the quantiles of their mean.
    rng = np.random.default_rng(0)
    draws = rng.normal([0.2, -0.1, 0.0], [0.05, 0.1, 0.02], (200_000, 3))
    each = [
        {"difference": m, "low": m - 1.96 * s, "high": m + 1.96 * s}
        for m, s in zip((0.2, -0.1, 0.0), (0.05, 0.1, 0.02), strict=True)
    ]
    low, high = np.quantile(draws.mean(1), [0.025, 0.975])
    assert mean_difference(each) == pytest.approx({"difference": 0.1 / 3, "low": low, "high": high}, abs=1e-3)


def test_the_table_tells_what_was_not_run(asked):
    page = markdown(gather(asked, DATA))
    assert "3 of 6 are not run" in page and "0.600 / 0.700 (0.650)" in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    late, early, plus = lines[2:5]
    assert "| late | 80.0 / 80.0 (80.0) | 90.0 / 70.0 (80.0) |" in late
    assert "| early | not run / 80.0 (80.0) | not run / 50.0 (50.0) |" in early and "not run / 0.550 (0.550)" in early
    assert plus == "| early+ |" + " not run |" * 8
    (difference,) = [line for line in lines[5:] if line.startswith("| early | 0.0 (0.0 to 0.0) | −20.0 (")]
    assert "| +20.0 (" in difference
    rate = asked.recipe.stages[-1].learning_rate
    assert f"| late | 2,000 | {rate:g} | 1,430,000 | 301 / 301 (301) | none |" in lines
    assert len({line.count("|") for line in lines[:5]}) == 1


def test_tuning_is_kept_and_told(tmp_path):
    asked = Ablation(tmp_path, "small", (0,), ("late",), rates=(1e-3, 3e-3))
    first, second = asked.tuning("late").values()
    finish(asked, first, {"S->S": 9, "S->T": 8, "T->S": 7, "lens": 6})
    half = gather(asked, DATA)
    assert half["variants"]["late"]["rate"] is None and half["variants"]["late"]["seeds"] == {}
    assert "0.001: 80.0 (0.500)" in markdown(half)
    finish(asked, second, {"S->S": 10, "S->T": 10, "T->S": 1, "lens": 9}, speech_nll=0.4)
    results = gather(asked, DATA)
    late = results["variants"]["late"]
    assert late["rate"] == 1e-3 and set(late["tuning"]) == {"0.001", "0.003"}
    assert late["tuning"]["0.003"]["lens"]["S->S"]["10"]["pair"]["accuracy"] == pytest.approx(0.9)
    assert late["seeds"]["0"] == late["tuning"]["0.001"]
    assert "| 0.001 | 1,430,000 | 301 | 0.001: 80.0 (0.500); 0.003: 70.0 (0.400) |" in markdown(results)


def test_what_was_measured_longer_is_told(asked):
    finish(asked, Trial("early_plus", 0), {"lens": 1}, factor=1.88, steps=3760)
    page = markdown(gather(asked, DATA))
    assert "early+: 1.88 times as long, as measured" in page and "| early+ | 3,760 |" in page


def test_an_earlier_command_of_the_directory_keeps_its_rows(asked):
    before = gather(asked, DATA)
    write_json(asked.out / "ablation.json", before)
    after = gather(Ablation(asked.out, "small", (0,), ("late",)), {0: DATA[0]})
    assert after["seeds"] == [0, 1] and list(after["variants"]) == ["late", "early"]
    assert after["variants"]["early"] == before["variants"]["early"] and after["data"] == before["data"]
    assert after["missing"] == [{"variant": "early", "seed": 0}]


@pytest.mark.parametrize("names", [("late", "early", "early_plus"), ("early",), ("early_plus",)])
def test_the_figure_shows_every_seed_and_the_mean(asked, names):
    results = gather(asked, DATA)
    results["variants"] = {name: results["variants"][name] for name in names}
    text = ablation_svg(results)
    ElementTree.fromstring(text)
    for title in ("Hears, speaks", "Hears, writes", "Reads, speaks", "Inside", "chance"):
        assert title in text
    assert text.count("not run") == (4 if "early_plus" in names else 0)
    assert ablation_svg(results) == text
