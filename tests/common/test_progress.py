"""Progress where there is no terminal: lines, totals, and reports through a file."""

from __future__ import annotations

from smoltolk.common.progress import ProgressFile, ReportBar, bar, bars


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


def test_a_report_travels_through_a_file(tmp_path):
    file = ProgressFile(tmp_path / "p")
    assert file.read() == (0.0, "")
    work = ReportBar(file.report, before=2)
    work.note("half way")
    work.advance(3)
    assert ProgressFile(tmp_path / "p").read() == (5.0, "half way")
    (tmp_path / "p").write_text("torn")
    assert file.read() == (0.0, "")
