"""What is wrong with a built site is found."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "docs" / "building" / "check.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_check", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "reference").mkdir()
    (tmp_path / "style.css").write_text("@import url(other.css); a { background: url('img.svg') }")
    (tmp_path / "sound.mp3").write_bytes(b"")
    (tmp_path / "reference" / "a.html").write_text('<h2 id="place">x</h2><a href="../index.html">home</a>')
    return tmp_path


GOOD = [
    '<a href="reference/a.html#place">a</a>',
    '<a href="#here">b</a><i id="here"></i>',
    '<link rel="stylesheet" href="style.css"><audio src="sound.mp3"></audio><img src="data:image/png;base64,AA">',
    '<a href="https://arxiv.org/abs/2503.06211">a link is not fetched</a>',
]
BAD = [
    ('<a href="reference/b.html">a</a>', "reference/b.html leads nowhere"),
    ('<a href="reference/a.html#other">a</a>', "#other has no such place"),
    ('<a href="#nowhere">a</a>', "#nowhere has no such place"),
    ('<audio src="none.mp3"></audio>', "none.mp3 leads nowhere"),
    ('<script src="https://unpkg.com/x.js"></script>', "fetches https://unpkg.com/x.js"),
    ('<link rel="stylesheet" href="//fonts.example/css">', "fetches //fonts.example/css"),
    ("<style>@import url(https://fonts.example/css)</style>", "fetches a style"),
    ('<pre class="mermaid">a</pre>', "a script from elsewhere"),
]


@pytest.mark.parametrize("html", GOOD)
def test_a_site_of_its_own_passes(check: ModuleType, site: Path, html: str) -> None:
    (site / "index.html").write_text(html)
    assert check.problems(site) == []


@pytest.mark.parametrize(("html", "told"), BAD)
def test_what_is_missing_or_elsewhere_is_told(check: ModuleType, site: Path, html: str, told: str) -> None:
    (site / "index.html").write_text(html)
    (found,) = check.problems(site)
    assert found.startswith("index.html: ") and told in found


def test_styles_that_fetch_are_told(check: ModuleType, site: Path) -> None:
    (site / "index.html").write_text("")
    (site / "style.css").write_text("a { background: url(https://elsewhere.example/a.png) }")
    assert check.problems(site) == ["style.css: fetches something from elsewhere"]


def test_a_site_has_pages(check: ModuleType, tmp_path: Path) -> None:
    assert check.problems(tmp_path) == [f"{tmp_path}: no pages"]
