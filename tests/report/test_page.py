from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.report.page import write_report
from smoltolk.report.results import COMPARED, DIRECTIONS, FURTHER, KINDS, LENS_WAYS, OUTCOMES
from smoltolk.report.wording import percent
from smoltolk.speech.audio import save

SYSTEMS = (*COMPARED, *FURTHER)
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


def everything(make_results, folder):
    """Results with everything that the page can show; each cell has an accuracy of its own."""
    shares = (0.40 + number / 1000 for number in range(1000))
    ways = {**dict.fromkeys(KINDS, DIRECTIONS), "lens": LENS_WAYS}
    singles, pairs = (
        {s: {(kind, way): next(shares) for kind in ways for way in ways[kind]} for s in SYSTEMS} for _ in range(2)
    )
    results = make_results(pairs=pairs, **singles)
    results["world"] = {"people": 240, "facts": 960, "heard": 480, "times_heard": 13.2}
    results["curves"] = {s: [{"step": n, "loss": 3 - n / 100, "grad_norm": 1.0} for n in (10, 20)] for s in SYSTEMS}
    results["selector"] = {"layers": ["1", "2"], "weights": [0.4, 0.6]}
    results["settings"] = {"text_model": "trained here", "world": {"facts": 48, "deep": {"er": 1}}}
    results["notes"] = ["A note of <this> run."]
    (folder / "samples").mkdir()
    save(folder / "samples" / "a.mp3", np.zeros(1600, np.float32))
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


@pytest.fixture
def full(make_results, tmp_path):
    return everything(make_results, tmp_path)


@pytest.fixture(scope="module")
def text(make_results, tmp_path_factory):
    """The page of all that; made once, to be read only."""
    folder = tmp_path_factory.mktemp("page")
    return write_report(everything(make_results, folder), folder).read_text(encoding="utf-8")


def test_page_is_well_formed_and_holds_every_cell(full, text):
    page = Page(text)
    words = " ".join(" ".join(page.text).split())
    for model in full["models"].values():
        cells = [model[kind][way] for kind in KINDS for way in DIRECTIONS]
        cells += [layer for way in LENS_WAYS for layer in model["lens"][way].values()]
        for cell in [*cells, *(cell["pair"] for cell in cells)]:
            low, high = percent(cell["low"]), percent(cell["high"])
            assert f"{percent(cell['accuracy'])} {low} to {high}" in words
    assert len(page.ids) == len(set(page.ids))
    assert page.tables == page.captions
    assert page.headers_without_scope == 0
    assert "A note of <this> run." in words
    assert "Mia & the fox." in words
    # Outcomes, lens and cells each for a wide screen and for a phone; curves and selector.
    assert text.count("<svg") == 8
    assert text.count('class="on-wide"') == text.count('class="on-phone"') == 3
    assert "Each heard fact is said in some 13 recordings." in words
    assert text.count("data:audio/mpeg;base64,") == 4
    assert "(nothing)" in words  # an empty answer is said to be one
    assert "cut at the limit" in words


def test_what_decides_comes_first(text):
    order = ["<h1>", "<svg", 'class="rulings"', 'id="lens"', 'id="cells"', 'id="systems"', 'id="selector"', "<audio"]
    places = [text.index(mark) for mark in [*order, 'id="chain"', 'id="run"', 'id="rules"']]
    assert places == sorted(places)
    first = text[text.index("<svg") : text.index("</svg>")]
    assert all(outcome.title in first for outcome in OUTCOMES)


def test_a_further_system_has_a_column_where_it_was_run(text, make_results, tmp_path):
    without = write_report(make_results(), tmp_path).read_text(encoding="utf-8")
    for page, runs in ((text, True), (without, False)):
        assert ('<th scope="col">Early fusion, 3× longer</th>' in page) == runs
        assert ("decides nothing.</li>" in page) == runs
        rows = [row.split("</tr>")[0] for row in page.split('<th scope="row">S → S</th>')[1:]]
        assert {row.count("<td") for row in rows} == {(4 if runs else 3) + 3}


def test_declared_cells_are_shaded_once(text):
    assert text.count('<tr class="declared">') == 3  # of the pairs' table
    assert text.count('<td class="declared">') == len(SYSTEMS)  # last layers


def test_a_measure_that_a_further_system_lacks_leaves_its_place_empty(full, tmp_path):
    for system in COMPARED:
        full["models"][system]["seconds_per_step"] = 0.125
    text = write_report(full, tmp_path).read_text(encoding="utf-8")
    row = text.split("Training, seconds per step")[1].split("</tr>")[0]
    assert row.count("0.125 s") == 3 and row.count("<td>–</td>") == 1


def test_page_needs_nothing_else(text):
    page = Page(text)
    assert all(source.startswith(("data:", "#")) for source in page.sources)


def test_same_results_same_page(full, text, tmp_path):
    assert write_report(full, tmp_path).read_text(encoding="utf-8") == text


def test_page_of_required_keys_alone(make_results, tmp_path):
    results = make_results()
    del results["differences"]
    text = write_report(results, tmp_path).read_text(encoding="utf-8")
    Page(text)
    assert "<audio" not in text
    assert "bounds from the two separate intervals" in text


def test_true_durations_have_a_line_where_they_were_measured(text, make_results, tmp_path):
    measured = make_results()
    measured["vocoder"]["wer_units_true"] = 0.0123
    page = write_report(measured, tmp_path).read_text(encoding="utf-8")
    assert "with the durations they had" not in text
    assert "with the durations they had" in page and "1.2" in page


def test_errors(full, tmp_path):
    (tmp_path / "samples" / "a.mp3").unlink()
    with pytest.raises(NotFoundError, match=r"sample samples/a\.mp3"):
        write_report(full, tmp_path)
    del full["models"]["late"]
    with pytest.raises(InputError, match="models must have the keys"):
        write_report(full, tmp_path)
    assert not (tmp_path / "report.html").exists()
