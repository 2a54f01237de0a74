from __future__ import annotations

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.report import duration, number, percent, write_report
from smoltolk.evaluation.results import COMPARED, DIRECTIONS, KINDS
from smoltolk.evaluation.summary import print_summary
from smoltolk.speech.audio import save

VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """Checks that tags nest, collects ids, addresses, tables and text."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []
        self.headers_without_scope = self.tables = self.captions = 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"])
        self.sources += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.headers_without_scope += tag == "th" and "scope" not in given
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def full(make_results, tmp_path):
    """Results with everything that the page can show; each cell has an accuracy of its own."""
    given = {
        system: {
            (kind, way): 0.50 + (s * 12 + k * 4 + w) / 100
            for k, kind in enumerate(KINDS)
            for w, way in enumerate(DIRECTIONS)
        }
        for s, system in enumerate(COMPARED)
    }
    results = make_results(**given)
    results["curves"] = {s: [{"step": n, "loss": 3 - n / 100, "grad_norm": 1.0} for n in (10, 20)] for s in COMPARED}
    results["selector"] = {"layers": ["1", "2"], "weights": [0.4, 0.6]}
    results["settings"] = {"text_model": "trained here", "world": {"facts": 48, "deep": {"er": 1}}}
    results["notes"] = ["A note of <this> run."]
    (tmp_path / "samples").mkdir()
    save(tmp_path / "samples" / "a.mp3", np.zeros(1600, np.float32))
    sample = {
        "system": "late",
        "id": "story-1",
        "kind": "story",
        "direction": "S->S",
        "prompt_text": "Mia & the fox.",
        "right_text": "The end.",
        "prompt_audio": "samples/a.mp3",
        "audio": "samples/a.mp3",
        "text": "the friend",
        "transcribed": True,
        "ended": False,
    }
    written = {"direction": "S->T", "audio": None, "text": "", "ended": True}
    results["samples"] = [sample, sample | {"system": "early"}, sample | written]
    return results


def test_page_is_well_formed_and_holds_every_cell(full, tmp_path):
    text = write_report(full, tmp_path).read_text(encoding="utf-8")
    page = Page(text)
    words = " ".join(" ".join(page.text).split())
    for model in full["models"].values():
        for kind in KINDS:
            for way in DIRECTIONS:
                cell = model[kind][way]
                low, high = percent(cell["low"]), percent(cell["high"])
                assert f"{percent(cell['accuracy'])} {low} to {high}" in words
    assert len(page.ids) == len(set(page.ids))
    assert page.tables == page.captions
    assert page.headers_without_scope == 0
    assert "A note of <this> run." in words
    assert "Mia & the fox." in words
    assert text.count("<svg") == 3
    assert text.count("data:audio/mpeg;base64,") == 4
    assert "(nothing)" in words  # an empty answer is said to be one
    assert "cut at the limit" in words


def test_page_needs_nothing_else(full, tmp_path):
    page = Page(write_report(full, tmp_path).read_text(encoding="utf-8"))
    assert all(source.startswith(("data:", "#")) for source in page.sources)


def test_same_results_same_page(full, tmp_path):
    first = write_report(full, tmp_path).read_bytes()
    assert write_report(full, tmp_path).read_bytes() == first


def test_page_of_required_keys_alone(make_results, tmp_path):
    results = make_results()
    del results["differences"]
    text = write_report(results, tmp_path).read_text(encoding="utf-8")
    Page(text)
    assert "<audio" not in text
    assert "bounds from the two separate intervals" in text


def test_true_durations_have_a_line_where_they_were_measured(make_results, tmp_path):
    without, measured = make_results(), make_results()
    measured["vocoder"]["wer_units_true"] = 0.0123
    pages = [write_report(one, tmp_path).read_text(encoding="utf-8") for one in (without, measured)]
    assert ["with the durations they had" in page for page in pages] == [False, True] and "1.2" in pages[1]


def test_errors(full, tmp_path):
    (tmp_path / "samples" / "a.mp3").unlink()
    with pytest.raises(NotFoundError, match=r"sample samples/a\.mp3"):
        write_report(full, tmp_path)
    del full["models"]["late"]
    with pytest.raises(InputError, match="models must have the keys"):
        write_report(full, tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_summary_fits_a_terminal_and_holds_every_cell(full):
    console = Console(width=80, record=True, file=io.StringIO())
    print_summary(full, console)
    text = console.export_text()
    assert "…" not in text
    for model in full["models"].values():
        for kind in KINDS:
            for way in DIRECTIONS:
                assert f"{100 * model[kind][way]['accuracy']:.0f} [" in text


def test_numbers():
    assert [duration(s) for s in (0.42, 9.96, 58, 131, 3725)] == [
        "0.4 s",
        "10.0 s",
        "58 s",
        "2 min 11 s",
        "1 h 2 min",
    ]
    assert [number(x) for x in (1_500_000, 12.345, 0, 98765.4)] == [
        "1\u202f500\u202f000",
        "12.35",
        "0",
        "98\u202f765",
    ]
