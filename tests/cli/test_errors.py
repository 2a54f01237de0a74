"""Mistakes end with rule, found and fix, and exit code 1; help fits a screen."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

VERBS = [
    "world", "speak", "corpus folder", "corpus manifests", "corpus recipe", "corpus text", "corpus validate",
    "corpus export", "align", "units fit", "units measure", "units encode", "vocoder fit", "vocoder say",
    "prepare", "backbone", "train", "inspect", "evaluate", "overlap", "say", "hear", "continue", "quickstart",
    "convert", "continuations", "sets",
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_a_screen(verb: str, smoltolk: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = smoltolk(*verb.split(), "--help")
    assert shown.code == 0 and len(shown.out.splitlines()) <= 52
    assert verb == "quickstart" or "Example" in shown.out


def test_help_is_quick() -> None:
    script = (
        "import sys; from smoltolk.cli import app; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("world {0}/file", "is a file"),
        ("world {0}/new --people 13", "num_people = 13"),
        ("world {0}/new --people 12 --questions 3000", "3000 questions, num_people = 12"),
        ("world {0}/new --questions 3", "--questions 3"),
        ("speak {0}/nothing.txt {0}/new", "no file"),
        ("speak {0}/texts.csv {0}/new", "texts.csv"),
        ("speak {0}/texts.txt {0}/new --voices 0", "--voices 0"),
        ("speak {0}/texts.txt {0}/new --voices 999", "999"),
        ("speak {0}/texts.txt {0}/file", "is a file"),
        ("speak {0}/voices.jsonl {0}/new", "'loud'"),
        ("speak {0}/texts.txt {0}/new --language de", "language 'de'"),
        ("speak {0}/texts.txt {0}/new --synthesizer {0}/nothing", "no directory"),
        ("speak {0}/texts.txt {0}/new --synthesizer {0} --aligner ./nothing", "no directory"),
        ("corpus folder {0}/nothing {0}/new", "no folder"),
        ("corpus folder {0} {0}/new", "outside"),
        ("corpus manifests {0} {0}/new", "none in"),
        ("corpus manifests {0}/file {0}/new", ".jsonl.gz"),
        ("corpus recipe librispeech {0}/nothing {0}/new", "no directory|not installed"),
        ("corpus recipe librispeech {0} {0}/new --option x", "'x'"),
        ("corpus text {0}/file {0}/new.txt", "new.txt"),
        ("corpus validate {0}", "smoltolk corpus folder"),
        ("corpus export {0} {0}/new", "smoltolk corpus folder"),
        ("align {0} {0}/new", "smoltolk corpus folder"),
        ("align {0} {0}/new --aligner none", "none"),
        ("units fit {0} {0}/new", "smoltolk corpus folder"),
        ("units encode {0}/file --units {0}", "no file"),
        ("vocoder say {0}/file {0} {0}/new", "no file"),
        ("prepare {0} {0} {0}/new", "smoltolk corpus folder"),
        ("backbone {0}/texts.txt {0}/new --heads 3", "3 heads"),
        ("backbone {0}/texts.txt {0}/full", "holds something else"),
        ("train {0} {0} {0}/new --mixture singing=1", "'singing=1'"),
        ("train {0} {0} {0}/new --spans 1", "'1'"),
        ("train {0} {0} {0}/new --system fusion", "'fusion'"),
        ("train smoltolk-150m --dry-run --mfu 0", "1 at most"),
        ("train smoltolk-150m --dry-run --devices 0", "a device at least"),
        ("evaluate {0} {0} {0}", "is one of|no --out"),
        ("evaluate {0} {0} {0} --out {0}/new", "--questions Q --shards S"),
        ("evaluate {0} singing --out {0}/new", "'singing'"),
        ("evaluate {0} --out {0}/new", "none"),
        ("evaluate {0} ssc --out {0}/new --rule loud", "'loud'"),
        ("evaluate {0} ssc --out {0}/new --rule ours,loud=1", "'loud=1'"),
        ("evaluate {0} ssc --out {0}/new --directions S->X", "S->X"),
        ("evaluate --from {0} --rule ours", "run.json"),
        ("say {0} hello --vocoder {0} --out {0}/x.wav", "model of type None|config.json"),
        ("say {0} hello --vocoder {0} --out {0}/x.tune", "x.tune"),
        ("say {0} hello --vocoder {0}/nothing --out {0}/x.wav", "no directory"),
        ("say {0}/nothing hello --vocoder {0} --out {0}/x.wav", "no directory"),
        ("hear {0} {0}/file --units {0}", "model of type None|config.json"),
        ("hear {0} {0}/nothing.wav --units {0}", "nothing.wav"),
        ("continue {0}", "neither"),
        ("continue {0} {0}/file --text hello", "both"),
        ("continue {0} --text hello --to song", "'song'"),
        ("continue {0} --text hello", "no --vocoder"),
        ("continue {0} {0}/file --to text", "no --units"),
        ("continue {0} --text hello --to text --most 0", "--most 0"),
    ],
)
def test_mistakes_are_told(command: str, found: str, tmp_path: Path, smoltolk: Callable) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "texts.txt").write_text("A dog.\n")
    (tmp_path / "texts.csv").write_text("A dog.\n")
    (tmp_path / "voices.jsonl").write_text('{"text": "A dog.", "voice": "loud"}\n')
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    result = smoltolk(*(part.format(tmp_path) for part in command.split()))
    assert result.code == 1, result
    assert result.err.startswith("error: ") and "\n  found: " in result.err and "\n  fix:   " in result.err
    assert any(part in result.err or (found == "outside" and "outside" in result.err) for part in found.split("|")), (
        result.err
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "speak {0}/texts.txt {0}/new", "corpus folder {0} {0}/new", "corpus manifests {0} {0}/new",
        "corpus recipe librispeech {0} {0}/new", "align {0} {0}/new", "prepare {0} {0} {0}/new",
    ],
)  # fmt: skip
def test_workers_are_none_or_more(command: str, tmp_path: Path, smoltolk: Callable) -> None:
    (tmp_path / "texts.txt").write_text("A dog.\n")
    result = smoltolk(*(part.format(tmp_path) for part in command.split()), "--workers", -1)
    assert result.code == 2 and "workers" in result.err and "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


@pytest.mark.parametrize(
    "command",
    [
        "say {0} hello --vocoder {0} --out x.tune", "hear {0} nothing.wav --units {0}", "continue {0} --text hi",
        "analyse {0} --shards {0} --out {0}/new", "report {0} --out {0}/page.html", "quickstart --scale huge",
    ],
)  # fmt: skip
def test_mistakes_are_told_at_once(command: str, tmp_path: Path) -> None:
    script = (
        "import sys, smoltolk.cli\n"
        "try: smoltolk.cli.main()\n"
        "except SystemExit: print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    called = [sys.executable, "-c", script, *(part.format(tmp_path) for part in command.split())]
    done = subprocess.run(called, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and done.stderr.startswith("error: ")


def test_half_a_character_stops_no_verb(tmp_path: Path, smoltolk: Callable) -> None:
    """Text cut in the middle of an emoji, as JSON of the web has it."""
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"id": "a", "text": "hello \\ud83d there"}\n{"id": "b", "text": "fine"}\n')
    assert smoltolk("corpus", "text", texts, tmp_path / "o.jsonl").code == 0
    assert "hello \ufffd there" in (tmp_path / "o.jsonl").read_text()
    assert smoltolk("backbone", texts, tmp_path / "backbone", "--steps", 1).code == 0
    (tmp_path / "set").mkdir()
    texts.rename(tmp_path / "set" / "a.jsonl")
    result = smoltolk("corpus", "text", tmp_path / "set", tmp_path / "p.jsonl")
    assert result.code == 1 and "surrogate" in result.err and not (tmp_path / "p.jsonl").exists()
    result = smoltolk("say", tmp_path, "caf\udce9", "--vocoder", tmp_path, "--out", "a.wav")  # a byte that is not UTF-8
    assert result.code == 1 and "whole characters" in result.err
