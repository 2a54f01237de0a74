"""A quick start as markdown, and on a page about several runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_json
from smoltolk.overview.writing import write_overview
from smoltolk.report.quickstart_table import quickstart_markdown
from smoltolk.speech.audio import save


def test_cells_have_intervals_and_differences(make_results: Callable) -> None:
    text = quickstart_markdown(make_results(late={("story", "S->S"): 0.82}, pairs={"late": {("lens", "S->S"): 0.9}}))
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    story = next(row for row in rows if row[0] == "Stories, S → S" and row[1].startswith("82.0"))
    assert story == [
        "Stories, S → S", "82.0 [78.0, 86.0]", "70.0 [66.0, 74.0]", "70.0 [66.0, 74.0]",
        "+12.0 [+9.0, +15.0]", "+12.0 [+9.0, +15.0]", "500",
    ]  # fmt: skip
    lens = next(row for row in rows if row[0] == "Inside, while listening, S → S")
    assert lens[1].startswith("90.0 ") and lens[4].startswith("+20.0 ")
    assert sum("\\*" in row[0] for row in rows) == 3  # those of the outcomes that are questions
    assert ["Recognition, word error rate", *["10.0% [8.0, 13.0]"] * 3] in rows
    with pytest.raises(InputError, match="models"):
        quickstart_markdown({"models": {}})


def test_two_quick_starts_on_a_page(make_results: Callable, tmp_path: Path) -> None:
    results = make_results()
    results["curves"] = {"late": [{"step": n, "loss": 3 - n / 100} for n in (10, 20)]}
    save(tmp_path / "first" / "samples" / "x.wav", np.zeros(160, np.float32))
    save(tmp_path / "first" / "samples" / "z-prompt.wav", np.zeros(160, np.float32))
    results["samples"] = [
        {"id": "s1", "system": "late", "direction": "S->S", "prompt_audio": "samples/z-prompt.wav",
         "prompt_text": "Mia.", "audio": "samples/x.wav", "text": "the <friend>"}
    ]  # fmt: skip
    for name in ("first", "second"):
        write_json(tmp_path / name / "results.json", results)
    write_overview([tmp_path / "first", tmp_path / "second"], tmp_path / "page.html", tmp_path / "page.md")
    page = (tmp_path / "page.html").read_text()
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)  # the same figures twice
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)
    assert "Late fusion, s1, S → S" in page and "the &lt;friend&gt;" in page and "data:audio/wav;base64," in page
    assert page.index("Prompt, s1") < page.index("Late fusion, s1")  # what was asked before what was answered
    notes = (tmp_path / "page.md").read_text()
    for whole, figure in ((page, "<figure"), (notes, "![")):  # the verdict before the figures, the tables behind them
        assert whole.index("It is not a reproduction") < whole.index(figure) < whole.index("Outcomes named before")
    assert page.count('class="on-phone"') == 6 and "violet" not in page
    names = sorted(path.name for path in (tmp_path / "page-figures").iterdir())
    assert names[:4] == ["01-accuracy.svg", "01-curves.svg", "01-lens.svg", "01-outcomes.svg"] and len(names) == 8
    drawn = (tmp_path / "page-figures" / "01-curves.svg").read_text()
    assert "var(--" not in drawn and drawn.startswith("<svg")
