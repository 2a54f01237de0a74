"""Bundles in the shell: made, shown, and talked with; many items, pipes and JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from smoltolk.inference.bundle import Bundle
from smoltolk.inference.speech_text import SpeechText
from smoltolk.speech.audio import load


@pytest.fixture(scope="module")
def talker(bundle: Bundle) -> SpeechText:
    return SpeechText.from_pretrained(bundle.path, device="cpu")


@pytest.fixture
def heard(talker: SpeechText, tmp_path: Path) -> Path:
    path = tmp_path / "heard.wav"
    talker.say("A dog.").save(path)
    return path


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)), "utf-8"))

    return give


def rows_of(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_it_is_made_and_shown(bundle_parts: Path, tmp_path: Path, smoltolk: Callable) -> None:
    parts = [bundle_parts / name for name in ("model", "units", "vocoder")]
    made = smoltolk("bundle", "make", *parts, tmp_path / "b", "--voices", "Anna's and Bela's", "--consent", "for this")
    assert made.code == 0, made.err
    assert "Anna's and Bela's" in made.out and "for this" in made.out and "anna, bela" in made.out
    shown = smoltolk("bundle", "info", tmp_path / "b", "--json")
    assert rows_of(shown.out)[0]["origin"]["voices"] == "Anna's and Bela's"
    (tmp_path / "b" / "model.safetensors").write_bytes(b"")
    damaged = smoltolk("bundle", "info", tmp_path / "b")
    assert damaged.code == 1 and "model.safetensors: 0 bytes" in damaged.err
    refused = smoltolk("bundle", "make", *parts[:2], tmp_path / "none", tmp_path / "c")
    assert refused.code == 1 and "--vocoder names a directory" in refused.err


def test_many_texts_are_said(
    bundle: Bundle, talker: SpeechText, tmp_path: Path, smoltolk: Callable, stdin: Callable
) -> None:
    stdin(b"One dog.\n\nTwo dogs.\n")
    said = smoltolk("say", bundle.path, "A cat.", "-", "--out", tmp_path / "said", "--json", "--speaker", "bela")
    assert said.code == 0 and "1 rejected" in said.err and "a text needs a word" in said.err
    rows = rows_of(said.out)
    assert [row["text"] for row in rows] == ["A cat.", "One dog.", "Two dogs."]
    for row, seed in zip(rows, (0, 1, 3), strict=True):
        alone = talker.say(row["text"], speaker="bela", seed=seed)
        assert row["units"] == alone.units.tolist()
        assert np.abs(load(row["out"]) - alone.waveform).max() < 1e-3
    assert sorted(path.name for path in (tmp_path / "said").iterdir()) == ["0001.wav", "0002.wav", "0004.wav"]


def test_sound_through_pipes(
    bundle: Bundle, talker: SpeechText, heard: Path, tmp_path: Path, smoltolk: Callable, stdin: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    piped = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(
            "smoltolk.cli.talking.sys",
            SimpleNamespace(
                stdout=SimpleNamespace(buffer=piped, isatty=lambda: False), stdin=sys.stdin, stderr=sys.stderr
            ),
        )
        assert smoltolk("say", bundle.path, "A dog.").code == 0  # there is no terminal, so the sound goes there
    samples, rate = soundfile.read(io.BytesIO(piped.getvalue()), dtype="float32")
    assert rate == talker.speaking_rate and np.array_equal(samples, load(heard))
    stdin(piped.getvalue())
    written = smoltolk("hear", bundle.path, "-", heard, "--json")
    first, second = rows_of(written.out)
    assert (
        first["file"] == "-" and second["file"] == str(heard) and first["text"] == second["text"] == talker.hear(heard)
    )
    stdin(b"")
    for command in (("hear",), ("ask", "--to", "text"), ("talk",)):
        nothing = smoltolk(*command, bundle.path, *["-"] * (command != ("talk",)))
        assert nothing.code == 1 and "\n  found: standard input is empty" in nothing.err, nothing.err
    one_of_two = smoltolk("hear", bundle.path, "-", heard)
    assert one_of_two.code == 0 and "rejected -: standard input holds a recording" in one_of_two.err
    for data in (piped.getvalue()[:40], b"no sound"):
        stdin(data)
        broken = smoltolk("hear", bundle.path, "-")
        assert (
            broken.code == 1
            and broken.err.startswith("error: standard input must be")
            and ".smoltolk" not in broken.err
        )


def test_many_are_continued(
    bundle: Bundle, talker: SpeechText, heard: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    more = smoltolk("continue", bundle.path, heard, heard, "--out", tmp_path / "more", "--json", "--seed", 5)
    assert more.code == 0, more.err
    rows = rows_of(more.out)
    assert [Path(row["out"]).name for row in rows] == ["heard-1.wav", "heard-2.wav"]
    wanted = talker.generate(heard, seed=6)
    assert rows[1]["units"] == wanted.speech.units.tolist() and rows[1]["prompt"] == {"file": str(heard)}
    short = smoltolk("continue", bundle.path, heard, "--out", tmp_path / "a.wav", "--seconds", 0.4)
    assert short.code == 0 and soundfile.info(tmp_path / "a.wav").duration <= 0.4
    text = smoltolk("continue", bundle.path, "--text", "A dog", "--to", "text", "--temperature", 0)
    assert text.out.rstrip("\n") == talker.generate("A dog", to="text", sampling=None).text


def test_what_does_not_fit_is_told_first(
    bundle: Bundle, bundle_parts: Path, tmp_path: Path, smoltolk: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, model = bundle.path, bundle_parts / "model"
    monkeypatch.setattr("smoltolk.inference.speech_text.SpeechText.from_pretrained", None)  # nothing is loaded
    monkeypatch.setattr("smoltolk.inference.speech_text.SpeechText.load", None)
    for command, found in (
        (["say", place, "a", "b", "--out", tmp_path / "a.wav"], "2, and --out|2 items"),
        (["say", place, "a", "--out", tmp_path / "a"], "a"),
        (["say", place, "a", "--out", "-", "--json"], "--json and --out -"),
        (
            ["say", place, "a", "--vocoder", bundle_parts / "vocoder", "--out", tmp_path / "a.wav"],
            "--units or --vocoder",
        ),
        (["hear", model, tmp_path / "a.wav"], "no file"),
    ):
        result = smoltolk(*command)
        assert result.code == 1 and any(one in result.err for one in found.split("|")), (command, result.err)
    assert not (tmp_path / "a.wav").exists()


def test_turns(bundle: Bundle, heard: Path, tmp_path: Path, smoltolk: Callable, stdin: Callable) -> None:
    lines = [
        "A dog",
        str(heard),
        "/text",
        "And then?",
        "",
        "nosuch.wav",
        "/nonsense",
        "/new",
        "A dog",
        "/quit",
        "never",
    ]
    # Besides: what is no text, and a text that is longer than the name of any file.
    stdin("\n".join(lines).encode().replace(b"/nonsense", b"\xff\n" + b"A dog. " * 60 + b"\n/nonsense"))
    talked = smoltolk("talk", bundle.path, "--out", tmp_path / "talk", "--json", "--temperature", 0)
    assert talked.code == 0, talked.err
    rows = rows_of(talked.out)
    assert [row["turn"] for row in rows] == [1, 2, 3, 4, 5] and ["out" in row for row in rows] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert "whole characters" in talked.err
    assert all(row["empty"] == ((row["seconds"] < 0.1) if "out" in row else not row["text"]) for row in rows)
    assert soundfile.info(rows[0]["out"]).duration == pytest.approx(rows[0]["seconds"], abs=1e-3)
    assert "no file nosuch.wav" in talked.err
    assert "an empty line in a pipe" in talked.err and "/quit" in talked.err
    stdin(b"\nnosuch.wav\n")
    none = smoltolk("talk", bundle.path)
    assert none.code == 1 and not none.out and "an empty line in a pipe" in none.err
    refused = smoltolk("talk", bundle.path, "--to", "song")
    assert refused.code == 1 and "speech or text" in refused.err


def test_a_piped_recording_is_one_turn(
    bundle: Bundle, talker: SpeechText, heard: Path, smoltolk: Callable, stdin: Callable
) -> None:
    stdin(heard.read_bytes())
    talked = smoltolk("talk", bundle.path, "--to", "text", "--json", "--temperature", 0)
    assert talked.code == 0 and not talked.err, talked.err
    (row,) = rows_of(talked.out)
    assert row["text"] == talker.dialogue("text", sampling=None).ask(heard).text
    stdin(b"\0\n" * 40)
    talked = smoltolk("talk", bundle.path)
    assert talked.code == 1 and not talked.out and talked.err.count("error: standard input must be audio") == 1


def test_questions(bundle: Bundle, heard: Path, tmp_path: Path, smoltolk: Callable) -> None:
    """Each stands in a prompt of its own, also where the bundle does not say that it was tuned."""
    talker = SpeechText.from_pretrained(bundle.path, device="cpu")
    talker.settings = replace(talker.settings, tuned=True)
    asked = smoltolk("ask", bundle.path, heard, heard, "--text", "Listen:", "--to", "text", "--json", "--seed", 4)
    assert asked.code == 0, asked.err
    rows = rows_of(asked.out)
    wanted = [talker.dialogue("text", seed=seed).ask(["Listen:", heard]) for seed in (4, 5)]
    assert [(row["text"], row["ended"]) for row in rows] == [(one.text, one.ended) for one in wanted]
    assert rows[0]["prompt"] == {"file": str(heard)} and rows[0]["text"] != rows[1]["text"]
    said = smoltolk("ask", bundle.path, "--text", "A dog?", "--out", tmp_path / "a.wav", "--json", "--speaker", "bela")
    answer = talker.dialogue("speech", speaker="bela").ask("A dog?").speech
    assert rows_of(said.out)[0]["units"] == answer.units.tolist()
    assert rows_of(said.out)[0]["empty"] == answer.is_empty == ("an empty answer" in said.err)
    assert np.abs(load(tmp_path / "a.wav") - answer.waveform).max() < 1e-3


def test_a_long_talk_forgets_and_says_so(bundle: Bundle, tmp_path: Path, smoltolk: Callable, stdin: Callable) -> None:
    stdin("\n".join(["A dog and a cat. " * 12] * 4).encode())
    talked = smoltolk("talk", bundle.path, "--to", "text", "--json")
    assert [row["dropped"] for row in rows_of(talked.out)][-1] > 0 and "were forgotten" in talked.err
