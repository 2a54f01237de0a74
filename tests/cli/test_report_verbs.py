"""``smoltolk report``: from directories to a page, and errors before anything is written."""

import subprocess
import sys
from pathlib import Path

from smoltolk.common.files import write_json


def test_report(smoltolk, tmp_path: Path) -> None:
    history = [{"step": n, "loss": 3 / n} for n in (10, 20)]
    write_json(tmp_path / "late" / "training.json", {"history": history})
    page, notes = tmp_path / "page.html", tmp_path / "notes.md"
    done = smoltolk("report", tmp_path / "late", "--out", page, "--markdown", notes)
    assert done.code == 0, done.err
    assert str(page) in done.out and page.read_text().startswith("<!doctype html>")
    assert "| late | 20 | 0.15 |" in notes.read_text() and "notes-figures/01-curves.svg" in notes.read_text()
    wrong = smoltolk("report", tmp_path / "late", "--out", tmp_path / "page.pdf")
    assert wrong.code == 1 and "--out is a .html file" in wrong.err
    unknown = smoltolk("report", tmp_path, "--out", tmp_path / "other.html")
    assert unknown.code == 1 and "analysis.json" in unknown.err and not (tmp_path / "other.html").exists()


def test_what_needs_no_torch_does_not_load_it(tmp_path: Path) -> None:
    write_json(tmp_path / "late" / "training.json", {"history": [{"step": 1, "loss": 3}, {"step": 2, "loss": 2}]})
    script = "import sys, smoltolk.cli\ntry: smoltolk.cli.main()\nfinally: print('torch' in sys.modules)"
    called = [sys.executable, "-c", script, "report", tmp_path / "late", "--out", tmp_path / "page.html"]
    done = subprocess.run(called, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False" and (tmp_path / "page.html").is_file()
