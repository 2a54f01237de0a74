"""``smoltolk report``'s page: what it holds, and that it needs nothing else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import write_json, write_jsonl, write_text
from smoltolk.evaluation.intervals import paired_difference
from smoltolk.overview.writing import write_overview
from smoltolk.report.training_plot import training_svg
from smoltolk.report.wording import points
from smoltolk.speech.audio import save

SVG = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


class Page(HTMLParser):
    """Checks that tags nest; collects rows of tables, addresses, ids and names of tags."""

    def __init__(self, place: Path):
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(place.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in {"meta", "img", "br", "hr"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_two_evaluations_stand_side_by_side(two_runs: list[Path], tmp_path: Path) -> None:
    assert write_overview(two_runs, tmp_path / "page.html", tmp_path / "page.md") == 0
    page, text = Page(tmp_path / "page.html"), (tmp_path / "page.md").read_text()
    heads = next(row for row in page.rows if "b − a" in row)
    row = page.rows[page.rows.index(heads) + 1]
    assert heads == ["", "n", "a", "b", "b − a"]
    # Three of six and five of six are right; the difference is two of six.
    assert row[:2] == ["S->T", "6"] and row[2].startswith("50.0 ") and row[3].startswith("83.3 ")
    expected = paired_difference(np.array([0, 0, 0, 1, 1, 0]), np.zeros(6), [f"q{n}" for n in range(6)], seed=0)
    assert row[4] == "{} {} to {}".format(*map(points, (2 / 6, expected.low, expected.high)))
    assert "| S-\\>T | 6 | 50.0 [" in text and "| +33.3 [" in text
    assert "rule ours" in page.words and "Evaluation: b" in page.words
    # Of each run alone the figure is seen, and what stands above already is opened by a click.
    assert (tmp_path / "page.html").read_text().count("<details>") == 3
    write_overview(two_runs[:1], tmp_path / "one.html")
    alone = (tmp_path / "one.html").read_text()
    assert "<details>" not in alone and "<title>SmolTolk report: Evaluation: a</title>" in alone
    assert len(set(page.ids)) == len(page.ids)
    figures = sorted(path.name for path in (tmp_path / "page-figures").iterdir())
    assert figures == ["01-side-by-side.svg", "03-accuracy.svg", "04-accuracy.svg"]
    assert all(f"(page-figures/{name})" in text for name in figures)


def test_cells_of_a_story_world_have_titles(make_run: Callable, records_of: Callable, tmp_path: Path) -> None:
    records = records_of([1, 0, 1], task="world", cell="fact_read_answer T->S")
    runs = [make_run(name, {"world": records}, model=name) for name in "ab"]
    write_overview(runs, tmp_path / "page.html", tmp_path / "page.md")
    page, title = Page(tmp_path / "page.html"), "Facts only read, answer alone: T → S"
    assert sum(row[0] == title for row in page.rows) == 4  # side by side by two rules, and each by itself
    figures = [path.read_text() for path in sorted((tmp_path / "page-figures").iterdir())]
    assert all(f"world  {title}" in figure for figure in figures)
    assert not any("fact_read" in text for text in (page.words, *figures, (tmp_path / "page.md").read_text()))


def test_the_page_needs_nothing_else(two_runs: list[Path], tmp_path: Path) -> None:
    write_overview(two_runs, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not {"script", "link", "iframe"} & page.tags
    assert "url(http" not in (tmp_path / "page.html").read_text() and "@import" not in page.words


def test_other_questions_have_no_difference(make_run: Callable, records_of: Callable, tmp_path: Path) -> None:
    more = [make_run(f"{n}", {"choices": records_of([1, 0, 1] + [1] * n)}) for n in (0, 1)]
    write_overview(more, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert "no difference of 1 to 0: 0 items of the one and 1 of the other stand alone" in page.words
    heads = next(row for row in page.rows if "1 − 0" in row)
    assert page.rows[page.rows.index(heads) + 1][4] == ""


def test_a_run_that_was_judged_again_keeps_its_records_two_folders_above(two_runs: list[Path], tmp_path: Path) -> None:
    again = two_runs[1] / "again" / "ours"
    write_json(again / "results.json", json.loads((two_runs[1] / "results.json").read_text()))
    write_overview([two_runs[0], again], tmp_path / "page.html")
    assert "+33.3" in (tmp_path / "page.html").read_text()
    alone = tmp_path / "alone"
    write_json(alone / "results.json", json.loads((two_runs[1] / "results.json").read_text()))
    write_overview([two_runs[0], alone], tmp_path / "page.html")
    words = Page(tmp_path / "page.html").words
    assert "no difference of alone to a: the records of the run are not there" in words


def test_names_are_shown_as_they_are_and_load_nothing(make_run: Callable, records_of: Callable, tmp_path: Path) -> None:
    name = "<img src=x> & ![a](http://b.c) | *d* `e` $f$"
    names = [name.replace("/", "∕"), "b"]
    runs = [make_run(one, {"choices": records_of([1, 0, 1], cell="<b>S|x")}, model=name) for one in names]
    write_overview(runs, tmp_path / "page.html", tmp_path / "page.md")
    page = Page(tmp_path / "page.html")
    assert ["", "n", *names, f"b − {names[0]}"] in page.rows
    assert any(row[0] == "<b>S|x" and len(row) == 5 for row in page.rows)
    assert "b" not in page.tags and all(address.startswith(("data:", "#")) for address in page.addresses)


def test_recordings_are_embedded_up_to_a_size_and_linked_beyond(two_runs: list[Path], tmp_path: Path) -> None:
    folder = two_runs[0] / "samples"
    folder.mkdir()
    for name in ("1 small.flac", "2 large.wav"):
        save(folder / name, np.zeros(16_000, np.float32))
    write_text(folder / "1 small.txt", "a <word>\n")
    size = (folder / "1 small.flac").stat().st_size
    out = tmp_path / "pages" / "page.html"
    assert write_overview(two_runs, out, embed=(size + 1) / 1e6) == 1
    page = Page(out)
    sounds = [one for one in page.addresses if one.startswith("data:audio/") or one.endswith(".wav")]
    kind, _, content = sounds[0].partition(",")
    assert kind == "data:audio/flac;base64" and base64.b64decode(content) == (folder / "1 small.flac").read_bytes()
    assert sounds[1:] == ["../a/samples/2%20large.wav"] * 2  # the player and the link
    assert "a <word>" in page.words and "1 recording:" in page.words
    assert write_overview(two_runs, out) == 0 and "../a" not in out.read_text()


def test_analyses_ablations_and_trainings(tmp_path: Path) -> None:
    inside, ablation = tmp_path / "inside", tmp_path / "ablation"
    parts = {"model": "m", "num_layers": 2, "lens": {"heard": {}}, "selector": {"left_out": "it has none"}}
    write_json(inside / "analysis.json", {"models": {"late": parts}})
    write_text(inside / "analysis.md", "# Looking inside\n\n## Lens\n\n| | in |\n|---|---|\n| x | 0.1 [0.0, 0.2] |\n")
    write_text(inside / "lens.svg", SVG)
    write_json(ablation / "ablation.json", {"variants": {}, "seeds": [0]})
    write_text(ablation / "ablation.md", "# Ablation\n\n| variant |\n| --- |\n| late |\n")
    write_text(ablation / "ablation.svg", SVG)
    for name in ("late", "early"):
        history = [{"step": n, "loss": 3 / n, "speech_loss": 2 / n, "grad_norm": 1.0} for n in (10, 20)]
        write_json(tmp_path / name / "training.json", {"history": history, "system": name})
    places = [inside, ablation, tmp_path / "late", tmp_path / "early"]
    write_overview(places, tmp_path / "page.html", tmp_path / "page.md")
    page = Page(tmp_path / "page.html")
    assert ["x", "0.1 0.0 to 0.2"] in page.rows and ["late"] in page.rows
    assert ["early", "20", "0.15", "0.1"] in page.rows
    assert page.addresses.count(f"data:image/svg+xml;base64,{base64.b64encode(SVG.encode()).decode()}") == 2
    assert "script" not in page.tags and "details" in page.tags
    assert "Speech, nats per unit" in page.words and {"late", "early"} <= set(re.findall(r"\w+", page.words))
    assert (tmp_path / "page-figures" / "01-lens.svg").read_text() == SVG


def test_a_figure_is_shown_in_its_own_size(tmp_path: Path) -> None:
    """7.2 inches of a drawing for print; what does not tell its size is as wide as a card."""
    svg = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="518.4pt" viewBox="0 0 518.4 200" xmlns="x"></svg>'
    for name, drawn in (("told", svg), ("untold", SVG)):
        write_json(tmp_path / name / "analysis.json", {"models": {"late": {"lens": {"heard": {}}}}})
        write_text(tmp_path / name / "analysis.md", "# Looking inside\n")
        write_text(tmp_path / name / "lens.svg", drawn)
    write_overview([tmp_path / "told", tmp_path / "untold"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert re.findall(r"--own: (\d+)px", page) == ["691", "960"] and "The text head on each layer; bands" in page


def test_an_experiment_with_a_recipe(tmp_path: Path) -> None:
    write_json(tmp_path / "sweep" / "results.json", {"arms": {"a": {}}, "seeds": [0], "question": "Which *rate*?"})
    write_text(tmp_path / "sweep" / "results.md", "# Which *rate*?\n\nAll are run.\n\n| arm |\n| --- |\n| 1e-3 |\n")
    write_overview([tmp_path / "sweep"], tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert ["1e-3"] in page.rows and "Experiment: sweep, Which *rate*?" in page.words and "All are run." in page.words


def test_five_trainings_look_five_ways_and_one_step_is_seen(tmp_path: Path) -> None:
    histories = {f"run {n}": [{"step": step, "loss": 3.0 + n} for step in (1, 2, 3)] for n in range(5)}
    drawn = training_svg(histories)
    looks = set(re.findall(r"fill: none; (?:stroke-dasharray: [^;]*; [^;]*; )?stroke: var\(--([a-z-]+)\)", drawn))
    assert {"late", "early", "early-plus", "early-long", "ink"} <= looks
    one = training_svg({"run": [{"step": 1, "loss": 3.0}]})
    assert "<use" in one.split('id="trainings-line2d_')[-1]  # a marker


def test_trainings_are_drawn_from_their_logs_while_they_last_too(tmp_path: Path) -> None:
    done, running = tmp_path / "done", tmp_path / "running.work"
    train = [
        {"step": n, "kind": "train", "loss": 3 / n, "grad_norm": None, "ids_per_second": 9.0 * n} for n in (10, 20)
    ]
    held = {
        "kind": "held_out",
        "speech_nll": 1.5,
        "speech/speech_nll": 1.4,
        "text_nll": 2.0,
        "selector_weights": [0.3, 0.7],
    }
    lines = [*train, *({**held, "step": n, "story/S->S": 0.5, "recognition_wer": 0.9} for n in (10, 20))]
    for path in (done / "log.jsonl", running / "record" / "log.jsonl"):
        write_jsonl(path, lines)
    write_json(done / "training.json", {"history": train})
    for step in ("000010", "000020"):
        write_text(done / "samples" / step / "says-0.txt", f"words of {step}")
        (done / "samples" / step / "says-0.mp3").write_bytes(b"sound")
    write_overview([done], tmp_path / "one.html")
    words = Page(tmp_path / "one.html").words
    for title in ("Held-out speech, nats per unit", "WER of what it writes", "Accuracy: story", "Ids a second", "0.70"):
        assert title in words
    assert "words of 000020" in words and "000010" not in words
    write_overview([done, running], tmp_path / "two.html")
    words = Page(tmp_path / "two.html").words
    assert "Accuracy: story S → S" in words and words.count("Mean weight of each layer") == 2


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("log.jsonl", '{"step": 1, "kind": "held_out"}\n', "history has a step"),
        ("log.jsonl", '{"step": 1, "kind": "train", "loss": "x"}\n', r"log.jsonl.*history\[0\].loss"),
        (
            "log.jsonl",
            '{"step": 1, "kind": "train"}\n{"step": 1, "kind": "held_out", "selector_weights": ["x"]}\n',
            "log.jsonl.*damaged",
        ),
        ("other.txt", "x", "analyse.*holds other.txt"),
        ("results.json", "{", "must be JSON"),
        ("results.json", '{"x": 1}', "quickstart.*of none of them"),
        ("results.json", '{"tasks": {}}', "must have the keys"),
        ("results.json", '{"models": {}}', "must have the keys"),
        ("results.json", '{"arms": {}}', "must have the keys"),
        ("run.json", "{}", "when they are finished"),
        ("parts/late-lens.json", "{}", "no analysis.json: it is not finished.*goes on"),
        ("training.json", '{"seed": 0}', "without .'history'."),
        ("training.json", '{"history": [{"step": 1, "loss": NaN}]}', r"history\[0\].loss must be a finite number"),
        ("training.json", "[]", "must be an object"),
        ("analysis.json", '{"models": {"late": 3}}', "damaged"),
        ("analysis.json", '{"models": {"late": {"lens": {}}}}', "holds lens.svg"),
        ("ablation.json", '{"variants": {}, "seeds": []}', "holds ablation.svg"),
    ],
)
def test_what_is_no_run_or_damaged_is_named(file: str, text: str, message: str, tmp_path: Path) -> None:
    write_text(tmp_path / "run" / file, text)
    with pytest.raises(InputError, match=f"(?s){message}") as caught:
        write_overview([tmp_path / "run"], tmp_path / "page.html")
    assert str(tmp_path / "run") in str(caught.value)
    assert not (tmp_path / "page.html").exists()


def test_damaged_records_and_places(two_runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    with pytest.raises(InputError, match="twice"):
        write_overview([two_runs[0], two_runs[0]], out)
    with pytest.raises(InputError, match="twice"):
        write_overview([two_runs[0], two_runs[1] / ".." / two_runs[0].name], out)
    with pytest.raises(NotFoundError, match="no directory"):
        write_overview([tmp_path / "nothing"], out)
    with pytest.raises(InputError, match=f"(?s)is a file.*name its directory, {two_runs[0]}"):
        write_overview([two_runs[0] / "results.json"], out)
    with pytest.raises(InputError, match=f"(?s)name what lies in it: {two_runs[0]} {two_runs[1]}"):
        write_overview([tmp_path], out)
    records = two_runs[1] / "choices.jsonl"
    for change in ({"nll": [[["x"], [1.0]]]}, {"nll": [[[1.0]]]}, {"nll": 3}, {"right": 1}):
        kept = records.read_text()
        lines = [json.loads(line) for line in kept.splitlines()]
        records.write_text("\n".join(json.dumps(line | change) for line in lines))
        if "right" not in change:
            with pytest.raises(InputError, match=r"choices\.jsonl"):
                write_overview(two_runs, out)
        else:
            write_overview(two_runs, out)
            assert "items of the same name differ" in out.read_text()
        records.write_text(kept)
