"""The page in Gradio: what goes in and comes out, and that nothing is told to anybody."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from smoltolk.common.errors import InputError
from smoltolk.demo.limits import Limits
from smoltolk.demo.opening import open_page
from smoltolk.demo.page import Model, build, launch_settings
from smoltolk.inference.speech_text import SpeechText


def answers_of(page: object) -> object:
    """What a click on "Go on" starts."""
    (found,) = [one for one in page.fns.values() if one.fn is not None and len(one.inputs) == 6]  # type: ignore[attr-defined]
    return found.fn


def test_a_click_fills_the_column_of_each_model(talker: SpeechText, bundles: list[Path]) -> None:
    other = SpeechText.from_pretrained(bundles[1], device="cpu")
    page = build([Model.of("late", talker), Model.of("early", other)], Limits())
    shown: list[object] = [None] * 10
    for update in answers_of(page)(None, "A fox", 0.0, 1.0, 5, 0):  # type: ignore[operator]
        for place, value in enumerate(update):
            if not (isinstance(value, dict) and value.get("__type__") == "update"):
                shown[place] = value
    for first in (0, 5):
        rate, samples = shown[first + 2]  # type: ignore[misc]
        assert rate == talker.speaking_rate and samples.dtype == np.int16 and 0 < len(samples) <= 1.1 * rate
        assert "<svg" in str(shown[first + 3]) and "First sound" in str(shown[first + 4])
    assert "selector layer" in str(shown[3]) and "selector layer" not in str(shown[8])


def test_wishes_beyond_the_limits_are_cut(talker: SpeechText) -> None:
    page = build([Model.of("late", talker)], Limits(answer_seconds=2.0, answer_tokens=2))
    updates = list(answers_of(page)(None, "A fox", 0.0, 1e9, 10**9, 0))  # type: ignore[operator]
    ((rate, samples),) = [update[2] for update in updates if isinstance(update[2], tuple)]
    assert 0 < len(samples) <= 2.1 * rate


def test_nothing_of_the_page_comes_from_elsewhere(talker: SpeechText) -> None:
    page = build([Model.of("late", talker)], Limits())
    settings = launch_settings()
    assert page.analytics_enabled is False and settings["share"] is False
    assert "http" not in str(settings["theme"]._font_css) + str(settings["theme"]._stylesheets)
    assert all(one.api_visibility == "private" for one in page.fns.values())


def test_a_port_that_is_taken_and_a_third_bundle_are_refused(bundles: list[Path]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="needs a free port"):
            open_page(bundles[:1], port=taken.getsockname()[1], device="cpu")
    with pytest.raises(InputError, match="one model, or two"):
        open_page([*bundles, bundles[0]])


def test_visitors_reach_no_files_of_this_machine(bundles: list[Path]) -> None:
    httpx = pytest.importorskip("httpx")
    opened = open_page(bundles[:1], device="cpu")
    try:
        for path in ("/etc/passwd", str(bundles[0] / "bundle.json"), "../../../etc/passwd"):
            for route in ("gradio_api/file=", "file="):
                assert httpx.get(f"{opened.address}{route}{path}").status_code in (403, 404), (route, path)
    finally:
        opened.close()


def test_the_page_is_there_before_its_models(bundles: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    httpx = pytest.importorskip("httpx")
    whole, seen = SpeechText.from_pretrained, list[object]()

    def slow(*arguments: object, **options: object) -> SpeechText:
        seen.append(httpx.get(f"{seen[0]}config").status_code)
        return whole(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SpeechText, "from_pretrained", slow)
    open_page(bundles[:1], device="cpu", tell=seen.append).close()
    assert seen[1:] == [200]


def test_a_click_waits_for_the_model(talker: SpeechText) -> None:
    model = Model("late")
    page = build([model], Limits())
    updates = answers_of(page)(None, "A fox", 0.0, 1.0, 2, 0)  # type: ignore[operator]
    assert "loading" in str(next(updates))
    threading.Timer(0.2, model.talker.set_result, [talker]).start()
    assert "<svg" in str(list(updates))


def test_a_page_whose_model_does_not_load_is_closed(bundles: list[Path], tmp_path: Path) -> None:
    httpx, seen = pytest.importorskip("httpx"), list[str]()
    shutil.copytree(bundles[0], tmp_path / "bundle")
    (tmp_path / "bundle" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="it is missing"):
        open_page([tmp_path / "bundle"], device="cpu", tell=seen.append)
    with pytest.raises(httpx.ConnectError):
        httpx.get(seen[0])


def test_the_page_takes_nothing_heavy() -> None:
    code = "import sys, smoltolk.demo.opening; print({'torch', 'transformers', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
