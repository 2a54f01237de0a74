"""The site is built strictly and without a network, and holds what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import smoltolk

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")
pytest.importorskip("material")

ROOT = Path(__file__).parents[2]
# mkdocs in a process that reaches nobody: a look-up of a name ends it.
BUILD = """
import socket, sys

def nobody(*_, **__):
    raise OSError("no network")

socket.socket.connect = socket.getaddrinfo = nobody
from mkdocs.__main__ import cli
cli(["build", "--quiet", "--strict", "--site-dir", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_nothing_leads_nowhere_and_nothing_is_fetched(site: Path) -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "building" / "check.py"), str(site)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_every_page_of_docs_is_in_the_site(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").glob("*.md")]
    assert [page for page in pages if not (site / page).is_file()] == []
    assert all(len(text_of(site / page)) > 1000 for page in pages)


def test_every_public_name_is_described(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    named = set(re.findall(r'<h3 id="smoltolk\.(\w+)"', page))
    assert named == set(smoltolk.__all__) - {"__version__"}
    assert ":class:" not in text_of(site / "reference" / "python.html")


def test_every_verb_is_described_with_its_options(site: Path) -> None:
    page = text_of(site / "reference" / "commands.html")
    assert "smoltolk prepare CORPUS UNITS OUT [OPTIONS]" in page
    assert {"quickstart", "units fit", "corpus folder", "vocoder say", "evaluate"} <= set(re.split(r"\s*¶?\n\s*", page))
    assert "--stage1-mixture" in page and "[OPTIONS] [OPTIONS]" not in page


def test_the_gallery_plays_sounds_that_are_there_and_small(site: Path) -> None:
    page = (site / "gallery.html").read_text(encoding="utf-8")
    sounds = re.findall(r'<audio [^>]*src="([^"]+)"', page)
    assert len(sounds) > 10 and all((site / sound).stat().st_size > 1000 for sound in sounds)
    assert sum(path.stat().st_size for path in (site / "gallery" / "sounds").iterdir()) < 300_000


def test_sections_of_the_readme_stand_in_the_site(site: Path) -> None:
    assert "seeds 10 / 11 / 12" in text_of(site / "quick-start.html")
    for name in ("index.html", "quick-start.html"):  # marks, and what only readers of the repository need
        page = (site / name).read_text(encoding="utf-8")
        assert "<!-- README" not in page and "In the README" not in page and "n a clone t" not in page
