from __future__ import annotations

import pytest

from smoltolk.report.comparison import compare

CELL, LENS = ("fact_read_answer", "S->S"), ("lens", "S->S")


@pytest.mark.parametrize("cell", [CELL, LENS])
def test_without_paired_differences_intervals_must_not_overlap(make_results, cell):
    results = make_results(late={cell: 0.6}, early={cell: 0.54})
    assert compare(results, *cell, "early").finding == "above"  # paired: 0.06 +- 0.03
    del results["differences"]
    assert compare(results, *cell, "early").finding == "undecided"  # 0.56..0.64 and 0.50..0.58
    assert compare(make_results(late={cell: 0.5}), *cell, "chance").finding == "undecided"


@pytest.mark.parametrize("cell", [CELL, LENS])
@pytest.mark.parametrize("paired", [True, False])
def test_singles_and_pairs_are_told_apart(make_results, cell, paired):
    results = make_results(pairs={"late": {cell: 0.9}, "early": {cell: 0.6}}, late={cell: 0.5}, early={cell: 0.6})
    if not paired:
        del results["differences"]
    single, pair = (compare(results, *cell, "early", pair) for pair in (False, True))
    assert (single.difference, single.finding) == (pytest.approx(-0.1), "below")
    assert (pair.difference, pair.finding) == (pytest.approx(0.3), "above")
    assert compare(results, *cell, "chance", pair=True).low == pytest.approx(0.35)


def test_a_system_without_paired_differences_is_compared_by_its_interval(make_results):
    results = make_results(pairs={"late": {CELL: 0.9}, "early_long": {CELL: 0.6}})
    del results["differences"]["late - early_long"]
    item = compare(results, *CELL, "early_long", pair=True)
    assert (item.low, item.high) == (pytest.approx(0.85 - 0.65), pytest.approx(0.95 - 0.55))
