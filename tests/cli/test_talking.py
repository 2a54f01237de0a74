"""What the talking verbs share: mistakes are told before anything large is imported."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from smoltolk.cli.talking import Loader, Sounds, Source, texts_of
from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.inference.bundle import Bundle
from smoltolk.inference.part_files import read_model_units
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder

# Prints what each command says, and whether torch was imported for it.
_SCRIPT = """
import json, sys
from smoltolk.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["smoltolk", *command]
    try:
        main(last=False)
    except SystemExit as stopped:
        print(json.dumps([stopped.code, "torch" in sys.modules]))
"""


def test_mistakes_cost_no_imports(bundle: Bundle, bundle_parts: Path, tmp_path: Path) -> None:
    GriffinLimVocoder(12, 25.0, "f" * 64, width=8).save(tmp_path / "other")
    model, units, vocoder = (bundle_parts / name for name in ("model", "units", "vocoder"))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "bundle.json").write_text("{}")
    sound, out = bundle.path / "sample.wav", tmp_path / "out.wav"
    commands = {
        "no file": ["hear", bundle.path, tmp_path / "none.wav"],
        "no config.json in": ["hear", tmp_path, sound, "--units", units],
        "--units or --vocoder with": ["hear", bundle.path, sound, "--units", units],
        "no --units": ["hear", model, sound],
        "as it was made": ["talk", tmp_path / "damaged"],
        "units (ffffffffffffffff)": ["say", model, "a", "--vocoder", tmp_path / "other", "--out", out],
        "a directory": ["talk", tmp_path / "nothing" / "there"],
        "no --vocoder": ["ask", model, sound, "--units", units, "--out", out],
        "a model of type None": ["continue", vocoder, sound, "--units", units, "--vocoder", vocoder, "--out", out],
        "--seconds 1 of text": ["continue", bundle.path, sound, "--to", "text", "--seconds", "1"],
        "--most 0": ["ask", bundle.path, sound, "--to", "text", "--most", "0"],
    }
    told = json.dumps([list(map(str, command)) for command in commands.values()])
    run = subprocess.run([sys.executable, "-c", _SCRIPT, told], capture_output=True, text=True)
    errors = run.stderr.split("error: ")[1:]
    assert len(errors) == len(commands), run.stderr
    for found, error in zip(commands, errors, strict=True):
        assert found in error, (found, error)
    assert [json.loads(line) for line in run.stdout.splitlines()] == [[1, False]] * len(commands)


def test_a_model_says_its_units_in_its_small_files(bundle_parts: Path) -> None:
    held = read_model_units(bundle_parts / "model")
    assert (
        held is not None and (held.num_units, held.num_codebooks) == (12, 1) and len(held.unit_fingerprint or "") == 64
    )
    assert read_model_units("some/where-on-the-hub") is None


def test_eight_bits_without_the_extra(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torchao", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"smoltolk\[int8\]"):
        Source(str(bundle.path), int8=True).check()


def test_a_pipe_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    sounds = Sounds(Path("-"), ["0001"])
    speech: Any = SimpleNamespace(waveform=np.zeros(200_000, np.float32), rate=16_000)
    with open(writing, "w", encoding="utf-8") as stdout, monkeypatch.context() as patch:  # noqa: PTH123 - a descriptor
        patch.setattr(sys, "stdout", stdout)
        sounds.check_reader()
        os.close(reading)
        with pytest.raises(InputError, match="has ended"):
            sounds.check_reader()
        with pytest.raises(InputError, match="has ended"):
            sounds.write(0, speech, {})
        stdout.flush()  # as at the end of Python: nothing is left that could fail
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))  # no file, of which nothing is known
    sounds.check_reader()


def test_loading_is_told_on_a_terminal_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("smoltolk.inference.speech_text.SpeechText.from_pretrained", lambda *_: "loaded")
    loader = Loader(Source(str(bundle.path)), bundle)
    assert loader.load() == "loaded" and capsys.readouterr() == ("", "")
    shown = Console(file=io.StringIO(), force_terminal=True, width=300)
    monkeypatch.setattr("smoltolk.common.progress.console", shown)
    assert loader.load() == "loaded" and not shown.file.getvalue()  # colours may be forced in a pipe, too
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert loader.load() == "loaded" and f"loading {bundle.path} ..." in shown.file.getvalue()


def test_lines_of_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        text = ""

        def read(self) -> str:
            return self.text

    monkeypatch.setattr(sys, "stdin", Stdin())
    for text, lines in (("a\nb\n", ["a", "b"]), ("a\u2028b\x0c\n\nc", ["a\u2028b\x0c", "", "c"])):
        Stdin.text = text
        assert texts_of(["first", "-"]) == ["first", *lines]
    Stdin.text = "\n"
    with pytest.raises(InputError, match="something to say"):
        texts_of(["-"])
