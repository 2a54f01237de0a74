from __future__ import annotations

import io

import pytest
from rich.console import Console

from smoltolk.report.results import DIRECTIONS, KINDS, OUTCOMES, cell_of, shown_systems
from smoltolk.report.summary import print_summary
from smoltolk.report.titles import KIND_TITLES


def printed(results) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    print_summary(results, console)
    return console.export_text()


@pytest.mark.parametrize("further", [{}, {"early_long": {}}])
def test_fits_a_terminal_and_holds_every_cell(make_results, further):
    kinds = {(kind, way): 0.51 + (4 * k + w) / 50 for k, kind in enumerate(KINDS) for w, way in enumerate(DIRECTIONS)}
    results = make_results(pairs={"late": kinds, "early": {cell: 0.9 * x for cell, x in kinds.items()}} | further,
                           late={cell: x + 0.01 for cell, x in kinds.items()})  # fmt: skip
    text = printed(results)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for system in shown_systems(results):
        for kind in KINDS:
            for way in DIRECTIONS:
                cell = cell_of(results, system, kind, way, pair=kind.endswith("answer"))
                assert f"{100 * cell['accuracy']:.0f} [{100 * cell['low']:.0f}," in text
    assert [title in text for title in KIND_TITLES.values()] == [True] * len(KINDS)
    assert ("early 3×" in text) == bool(further)


@pytest.mark.parametrize("further", [{}, {"early_long": {}}])
def test_nothing_is_cut_at_the_ends_of_the_scale(make_results, further):
    cells = [*((kind, way) for kind in KINDS for way in DIRECTIONS), ("lens", "S->S")]
    best, least = dict.fromkeys(cells, 1.0), dict.fromkeys(cells, 0.42)
    results = make_results(pairs={"late": best, "early": least, "early_plus": best} | further, late=best, early=least)
    text = printed(results)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80


def test_what_decides_comes_first(make_results):
    cell = (OUTCOMES[0].kind, OUTCOMES[0].direction)
    text = printed(make_results(pairs={"late": {cell: 0.83}}))
    assert text.index("Named before the run") < text.index("Accuracy, %")
    assert all(text.index(outcome.title) < text.index("Accuracy, %") for outcome in OUTCOMES)
    assert "83 [78,88] 70 [65,75] 70 [65,75]" in text
    assert "+13 [+10,+16] *" in text  # a lead that leaves zero out
    assert "0 [−3,+3]  " in text


def test_how_often_a_fact_is_heard_is_said_where_it_is_known(make_results):
    results = make_results()
    assert "Each heard fact" not in printed(results)
    results["world"] = {"times_heard": 13.1}
    assert "Each heard fact is said in some 13 recordings." in printed(results)
