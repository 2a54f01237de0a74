"""Progress where there is no terminal: lines, totals, and reports through a file."""

from __future__ import annotations

from rich.console import Console

from smoltolk.common import progress
from smoltolk.common.progress import ProgressFile, ReportBar, bar, bars, bars_in_turn


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
