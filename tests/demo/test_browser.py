"""The page in a real browser: a recording goes in, text and sound come out, and nothing is asked of anybody else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smoltolk.demo.opening import Opened, open_page

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("needs the program chromium", allow_module_level=True)
# What keeps it from asking its makers for anything; it may run as root.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 60_000  # ms


@pytest.fixture(scope="module")
def opened(bundles: list[Path]) -> Iterator[Opened]:
    page = open_page(bundles, device="cpu")
    yield page
    page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_a_recording_is_answered_in_writing_and_aloud(
    opened: Opened, browser: Any, recording: tuple[Path, str], width: int, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page, wrong, outside = context.new_page(), [], []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", lambda one: wrong.append(f"{one.status} {one.url}") if one.status >= 400 else None)
    own = (opened.address, "data:", "blob:")
    page.on("request", lambda one: None if one.url.startswith(own) else outside.append(one.url))
    page.goto(opened.address)
    page.set_input_files("#recording input[type=file]", recording[0], timeout=PATIENCE)
    page.wait_for_selector("#recording audio, #recording .waveform-container, #recording canvas", state="attached")
    page.wait_for_timeout(500)
    page.click("#go")
    page.wait_for_function("document.querySelectorAll('.line').length == 2", timeout=PATIENCE)
    for number in range(2):
        page.wait_for_function(f"document.querySelector('#written-{number} textarea').value.length > 0")
        with page.expect_download(timeout=PATIENCE) as sound:
            page.click(f"#spoken-{number} a[download]")
        assert Path(sound.value.path()).read_bytes()[:4] == b"RIFF"
        units = page.locator(f"#inside-{number} .unit").count()
        assert units > 20 and page.locator(f"#inside-{number} .guess").count() > 10
    assert page.locator("#inside-0 .heat").count() > 0 and page.locator("#inside-1 .heat").count() == 0
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert too_wide <= 0
    assert wrong == [] and outside == []
    context.close()


def test_a_page_of_one_model_that_has_been_loaded(bundles: list[Path], browser: Any) -> None:
    opened, page, wrong = open_page(bundles[:1], device="cpu"), browser.new_page(), []
    page.on("response", lambda one: wrong.append(f"{one.status} {one.url}") if one.status >= 400 else None)
    try:
        page.goto(opened.address)
        page.wait_for_selector("#go", timeout=PATIENCE)
        page.wait_for_function("!document.querySelector('#told-0')?.innerText.trim()", timeout=PATIENCE)
        assert wrong == []
    finally:
        page.close()
        opened.close()


def test_without_anything_to_go_on_from_the_page_says_so(opened: Opened, browser: Any) -> None:
    page = browser.new_page()
    page.goto(opened.address)
    page.click("#go", timeout=PATIENCE)
    page.wait_for_selector("text=there is something to go on from", timeout=PATIENCE)
    page.close()
