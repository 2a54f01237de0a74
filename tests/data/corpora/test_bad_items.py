"""One bad item costs that item: all good ones are done, all bad ones are listed by name with a reason."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.corpus import read_corpus, validate_corpus
from smoltolk.data.corpora.lhotse_corpora import collect_manifests
from smoltolk.data.corpora.realign import align_corpus
from smoltolk.data.corpora.recordings import collect
from smoltolk.data.corpora.timing import check_pace
from smoltolk.speech.audio import save

SOUND = np.full(16_000, 0.1, np.float32)


def put(path: Path, text: str | bytes | None = "one") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        soundfile.write(file, SOUND, 16_000, format="WAV")
    if text is not None:
        path.with_suffix(".txt").write_bytes(text.encode() if isinstance(text, str) else text)


def latin(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/caf\xe9.wav", "wb") as file:  # noqa: PTH123 - no path of pathlib
        file.write(b"no sound")
    with open(os.fsencode(folder) + b"/caf\xe9.txt", "wb") as file:  # noqa: PTH123
        file.write(b"one")


def directory(folder: Path) -> None:
    put(folder / "a.wav" / "inside.wav")
    (folder / "a.txt").write_text("one")


def dangling(folder: Path) -> None:
    (folder / "d.wav").symlink_to(folder / "nowhere")
    (folder / "d.txt").symlink_to(folder / "nowhere")


def words(folder: Path, content: str, name: str = "bad.json") -> None:
    put(folder / "bad.wav", None)
    (folder / name).write_text(content)


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "not UTF-8": (latin, "caf_", "caf"),
    "folder": (directory, "a", "a.wav is a folder"),
    "dangling": (dangling, "d", "no file"),
    "surrogate": (lambda f: words(f, '{"text": "\\ud83d"}'), "bad", "whole characters"),
    "nested": (lambda f: words(f, "[" * 10_000), "bad", "must be JSON"),
    "grid": (lambda f: words(f, '"ooTextFile" "TextGrid" 0 1 <exists> 1e999', "bad.TextGrid"), "bad", "must be whole"),
    "latin text": (lambda f: put(f / "t.wav", b"caf\xe9"), "t", "UTF-8"),
    "binary text": (lambda f: put(f / "t.wav", b"\x00\xff\xfe"), "t", "UTF-8"),
    "empty sound": (lambda f: ((f / "e.wav").write_bytes(b""), (f / "e.txt").write_text("one"))[0], "e", "samples"),
    "pipe": (lambda f: os.mkfifo(f / "p.wav"), "p", "beside it"),
    "pipe and text": (lambda f: (os.mkfifo(f / "p.wav"), (f / "p.txt").write_text("one"))[0], "p", "no file"),
    "pace": (lambda f: put(f / "fast.wav", "one two three " * 8), "fast", "10 words or 50 letters"),
}


@pytest.mark.parametrize("kind", BAD)
def test_the_rest_is_done(kind: str, tmp_path: Path) -> None:
    make, name, reason = BAD[kind]
    folder = tmp_path / "in"
    for number in range(3):
        put(folder / f"{'amz'[number]}m.wav")
    make(folder)
    counts = collect(folder, tmp_path / "out", aligner=None, workers=0)
    rows = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [name] and reason in rows[0]["reason"] and rows[0]["audio"], rows
    kept = [utterance.id for utterance in read_corpus(tmp_path / "out")]
    assert {"am", "mm", "zm"} <= set(kept) <= {"am", "mm", "zm", "a.wav-inside"} and counts.num_utterances == len(kept)
    validate_corpus(tmp_path / "out")


def test_names_as_long_as_they_get(tmp_path: Path) -> None:
    """255 bytes a name, and folders of such names: longer than any file system takes as one name."""
    folder = tmp_path / "in"
    for name in ("x" * 251, "音" * 83, f"{'y' * 200}/{'z' * 250}1", f"{'y' * 200}/{'z' * 250}2"):
        put(folder / f"{name}.wav", None)
        (folder / f"{name}.txt").write_text("one")
    counts = collect(folder, tmp_path / "out", aligner=None, workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (4, 0)
    assert {u.origin for u in read_corpus(tmp_path / "out")} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.wav")
    }
    validate_corpus(tmp_path / "out")


def test_a_name_that_is_not_utf_8_is_no_reason(tmp_path: Path) -> None:
    put(tmp_path / "in" / "caf\udce9.wav")
    collect(tmp_path / "in", tmp_path / "out", aligner=None, workers=0)
    (kept,) = read_corpus(tmp_path / "out")
    assert (kept.id, kept.origin) == ("caf_", "caf\\udce9.wav")


@pytest.mark.parametrize(
    ("text", "seconds", "fits"),
    [
        ("three", 0.3, True),
        ("a b c d e", 0.9, True),
        ("word " * 80, 10.0, True),
        ("word " * 25, 1.9, False),
        ("word " * 120, 10.0, False),
        ("我们" * 40, 10.0, True),
        ("我们" * 300, 10.0, False),
    ],
)
def test_pace(text: str, seconds: float, fits: bool) -> None:
    if fits:
        check_pace(text, seconds)
    else:
        with pytest.raises(InputError, match="a second at most"):
            check_pace(text, seconds)


def test_one_pace_for_folders_manifests_and_aligned_corpora(tmp_path: Path) -> None:
    """Twenty-five words in a second, by three ways in."""
    put(tmp_path / "in" / "good.wav")
    put(tmp_path / "in" / "fast.wav", "w " * 25)
    reasons = []
    collect(tmp_path / "in", tmp_path / "folder", aligner=None, workers=0)
    rows = [
        {"id": name, "recording_id": name, "start": 0, "duration": 1, "channel": 0, "text": text}
        for name, text in (("good", "one"), ("fast", "w " * 25))
    ]
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "supervisions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = [
        {"id": name, "sources": [{"type": "file", "channels": [0], "source": str(tmp_path / "in" / f"{name}.wav")}]}
        for name in ("good", "fast")
    ]
    (tmp_path / "m" / "recordings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sources))
    collect_manifests(tmp_path / "m", tmp_path / "manifests", workers=0)
    outs = ["folder", "manifests"]
    pytest.importorskip("pocketsphinx")
    corpus = tmp_path / "corpus"
    collect(tmp_path / "in", corpus, aligner=None, workers=0)
    path = corpus / "parts" / "00000" / "utterances.jsonl"
    path.write_text(path.read_text().replace('"one"', json.dumps("w " * 25)))
    with pytest.raises(InputError, match="all 1 were rejected"):
        align_corpus(corpus, tmp_path / "aligned", workers=0)
    for out in [*outs, "aligned"]:
        (row,) = (json.loads(line) for line in (tmp_path / out / "rejected.jsonl").read_text().splitlines())
        reasons.append(row["reason"])
    assert len(set(reasons)) == 1 and "25 words, 25 letters in 1.0 s" in reasons[0], reasons


def test_surrogates_in_manifests(tmp_path: Path) -> None:
    """Names of every kind that JSON can hold and UTF-8 cannot."""
    save(tmp_path / "good.wav", SOUND)
    rows = [
        {"text": "\ud83d"},
        {"id": "b\ud83d", "speaker": "\ud83d", "language": "\ud83d"},
        {"id": "c", "alignment": {"word": [["\ud83d", 0, 1]]}, "text": None},
        {"id": "d"},
    ]
    base = {"id": "a", "recording_id": "r", "start": 0, "duration": 1, "channel": 0, "text": "one"}
    (tmp_path / "supervisions.jsonl").write_text("".join(json.dumps({**base, **row}) + "\n" for row in rows))
    source = {"type": "file", "channels": [0], "source": str(tmp_path / "good.wav")}
    (tmp_path / "recordings.jsonl").write_text(json.dumps({"id": "r", "sources": [source]}) + "\n")
    counts = collect_manifests(tmp_path / "supervisions.jsonl", tmp_path / "out", workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (1, 3)
    assert [utterance.id for utterance in read_corpus(tmp_path / "out")] == ["d"]
    reasons = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert all("whole characters" in row["reason"] and "line" in row["id"] for row in reasons)
