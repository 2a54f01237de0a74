from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from smoltolk.common.errors import InputError
from smoltolk.report.outcome_plots import lens_svg, outcomes_figure, outcomes_svg
from smoltolk.report.plot_style import COLOURS
from smoltolk.report.results import LENS_WAYS, OUTCOMES
from smoltolk.report.titles import LENS_TITLES, SYSTEM_LEGENDS

CELL = (OUTCOMES[0].kind, OUTCOMES[0].direction)


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if "text" in element.tag]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("further", [{}, {"early_long": {}}])
def test_page_figures_have_every_row_and_system_in_the_pages_colours(make_results, narrow, further):
    results = make_results(pairs={"late": {CELL: 0.83}} | further)
    outcomes, lens = outcomes_svg(results, narrow), lens_svg(results, narrow)
    for svg in (outcomes, lens):
        assert [f"var(--{name})" in svg for name in ("late", "early", "early-plus")] == [True] * 3
        assert ("var(--early-long)" in svg) == bool(further)
        assert not [colour for colour in COLOURS.values() if colour in svg]
    shown = texts(outcomes)
    assert [outcome.title in shown for outcome in OUTCOMES] == [True] * len(OUTCOMES)
    numbers = [text for text in shown if text in ("70", "83")]
    assert numbers.count("83") == 1
    # 70 is a tick too.
    assert numbers.count("70") - 1 == 4 * (3 + len(further)) - 1
    assert all(any(LENS_TITLES[way] in text for text in texts(lens)) for way in LENS_WAYS)


def test_letters_are_those_of_the_page_or_of_the_system(make_results, tmp_path):
    """However matplotlib writes a font: its own is not on every machine, and wider than what was laid out."""
    page = outcomes_svg(make_results())
    outcomes_figure(make_results(), tmp_path / "outcomes.svg")
    file = (tmp_path / "outcomes.svg").read_text()
    for drawn, fonts in ((page, "var(--sans)"), (file, "system-ui, -apple-system")):
        assert "DejaVu" not in drawn and drawn.count(fonts) == drawn.count("<text")


def test_a_wide_and_a_narrow_figure_share_no_id(make_results):
    svgs = [draw(make_results(), narrow) for draw in (outcomes_svg, lens_svg) for narrow in (False, True)]
    ids = [name for svg in svgs for name in set(re.findall(r'\bid="([^"]*)"', svg))]
    assert len(ids) == len(set(ids))


def test_a_file_has_real_colours_a_white_ground_and_a_legend(make_results, tmp_path):
    path = outcomes_figure(make_results(early_long={}), tmp_path / "outcomes.svg")
    svg = path.read_text(encoding="utf-8")
    assert "var(" not in svg and "#0b62c4" in svg and "#ffffff" in svg
    assert not [colour for colour in COLOURS.values() if colour in svg]
    assert set(SYSTEM_LEGENDS.values()) <= set(texts(svg))
    assert any("95% intervals" in text for text in texts(svg))
    assert not re.findall(r'href="(?!#)', svg)
    root = ElementTree.fromstring(svg)
    assert float(root.attrib["width"]) > float(root.attrib["height"]) > 0


def test_several_seeds_become_their_mean(make_results, tmp_path):
    runs = [make_results(pairs={"late": {CELL: share}, "early_long": {}}) for share in (0.61, 0.65, 0.93)]
    shown = texts(outcomes_figure(runs, tmp_path / "seeds.svg").read_text(encoding="utf-8"))
    assert "73" in shown and not {"61", "65", "93"} & set(shown)
    assert any("means of 3 seeds" in text for text in shown)
    # A system that one of them lacks is left out.
    shown = texts(outcomes_figure([runs[0], make_results()], tmp_path / "seeds.svg").read_text(encoding="utf-8"))
    assert SYSTEM_LEGENDS["early_long"] not in shown and SYSTEM_LEGENDS["early_plus"] in shown


def test_figures_need_results_that_hold(make_results, tmp_path):
    with pytest.raises(InputError, match="one run at least"):
        outcomes_figure([], tmp_path / "none.svg")
    results = make_results()
    del results["models"]["late"]["lens"]
    with pytest.raises(InputError, match=r"models\.late must have the keys"):
        outcomes_figure([make_results(), results], tmp_path / "none.svg")
    assert not list(tmp_path.iterdir())


def test_same_results_same_file(make_results, tmp_path):
    first, second = (outcomes_figure(make_results(), tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second
