"""Progress where there is no terminal: lines, totals, and reports through a file."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rich.console import Console

from smoltolk.common import progress
from smoltolk.common.progress import Pace, ProgressFile, Reached, ReportBar, bar, bars, bars_in_turn


@pytest.fixture
def clock(monkeypatch):
    """``clock.seconds`` are what the bars see."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_a_line_at_the_end_tells_what_was_done(capsys):
    with bar("Work", total=3, unit="items") as shown:
        shown.note("fine")
        for _ in range(3):
            shown.advance()
    assert "Work: 3/3 items" in capsys.readouterr().err


def test_several_works_have_a_line_each(capsys):
    with bars({"a": ("First", 2), "b": ("Second", 5)}) as shown:
        shown["a"].advance(2)
        shown["b"].advance(1)
    told = capsys.readouterr().err
    assert "First: 2/2" in told and "Second: 1/5" in told


def test_works_that_begin_in_turn_have_a_line_each(capsys):
    with bars_in_turn() as begin:
        first = begin("First", 2)
        first.advance(2)
        assert "First: 2/2" in capsys.readouterr().err
        begin("Second", 5).advance(1)
    assert "Second: 1/5" in capsys.readouterr().err


def test_on_a_terminal_a_full_bar_leaves_a_line(monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=True, width=100))
    with bars_in_turn("items") as begin:
        first, second = begin("First", 2), begin("Second", 5)
        first.note("fine")
        for _ in range(4):  # more than there is
            first.advance()
        first.note("gone")
        second.advance(1)
    told = capsys.readouterr().err
    assert told.count("First: done in 0 s") == 1 and "gone" not in told
    assert "Second" in told.rpartition("First: done")[2]


def test_a_report_travels_through_a_file(tmp_path):
    file = ProgressFile(tmp_path / "p")
    assert file.read() == (0.0, "")
    work = ReportBar(file.report, before=2)
    work.note("half way")
    work.advance(3)
    assert ProgressFile(tmp_path / "p").read() == (5.0, "half way")
    (tmp_path / "p").write_text("torn")
    assert file.read() == (0.0, "")


def left(clock, reports, total=1000.0):
    """Seconds that are told after reports of (seconds that it took, done in all)."""
    pace = Pace()
    for seconds, done in reports:
        clock.seconds += seconds
        pace.reached(done)
    return pace.seconds_left(total)


def test_the_time_left_is_withheld_until_it_means_something(clock):
    start = [(60.0, 1)]  # a model is loaded, the first step warms up
    assert left(clock, []) is None and left(clock, start) is None
    assert left(clock, [*start, *((2.0, done) for done in range(2, 6))]) is None
    assert left(clock, [*start, *((2.0, done) for done in range(2, 7))]) == pytest.approx(2 * 994)
    assert left(clock, [*start, *((0.01, done) for done in range(2, 200))]) is None  # two seconds


def test_what_was_done_before_counts_for_nothing(clock):
    resumed = [(5.0, 901), *((2.0, done) for done in range(902, 910))]
    assert left(clock, resumed) == pytest.approx(2 * 91)


def test_work_changes_its_pace(clock):
    two_stages = [*((0.5, done) for done in range(1, 301)), *((4.0, done) for done in range(301, 361))]
    assert left(clock, two_stages) == pytest.approx(4 * 640)
    rare = [(3600.0, done) for done in range(1, 8)]  # a step an hour
    assert left(clock, rare) == pytest.approx(3600 * 993)
    often = [(0.001, done) for done in range(1, 10_001)]
    assert left(clock, often, 20_000.0) == pytest.approx(10, rel=1e-2)
    pace = Pace()
    for done in range(1, 9):
        clock.seconds += 2
        pace.reached(done)
    clock.seconds += 3  # since the last report
    assert pace.seconds_left(10) == pytest.approx(1)


def test_lines_and_bars_tell_the_time_left(clock, monkeypatch, capsys):
    with bar("train", 1000, "steps") as shown:
        reached = Reached(shown)
        clock.seconds += 11
        reached(501)
        assert "train: 501/1000 steps in 11 s\n" in capsys.readouterr().err
        for step in range(502, 512):
            clock.seconds += 8
            reached(step, "loss 1.000")
        told = capsys.readouterr().err.splitlines()
        assert told[0] == "  train: 503/1000 steps in 27 s  loss 1.000"
        assert told[-1] == "  train: 511/1000 steps, 1 h 5 min left  loss 1.000"
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=True, width=120))
    with bar("train", 1000, "steps") as shown:
        for _ in range(10):
            clock.seconds += 8
            shown.advance()
    assert "2 h 12 min left" in capsys.readouterr().err
