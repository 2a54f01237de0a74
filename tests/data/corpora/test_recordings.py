"""A folder of recordings with their texts becomes a corpus; what cannot be used is told, not lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import finished, part_path, read_corpus, validate_corpus
from smoltolk.data.corpora.recordings import collect, find_recordings
from smoltolk.speech.audio import load, save

pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def folder(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good recordings of two speakers, one at 44.1 kHz, and everything that goes wrong."""
    folder = tmp_path_factory.mktemp("own") / "my recordings"
    stories = list(read_corpus(spoken_corpus))
    for number, (name, suffix) in enumerate([("anna/take 1", ".flac"), ("anna/take_1", ".wav"), ("ben/one", ".mp3")]):
        path = folder / f"{name}{suffix}"
        assert stories[number].audio is not None
        save(path, load(stories[number].audio, 44_100), 44_100)
        path.with_suffix(".txt").write_text("\ufeff" + stories[number].text.replace(". ", ".\n"), encoding="utf-8")
    good = load(folder / "anna/take 1.flac")
    for name, waveform, text in (
        ("ben/wrong", good, stories[1].text),
        ("ben/half", good, " ".join(stories[0].text.split()[:10])),
        ("ben/empty", good, " \n"),
        ("ben/silent", np.zeros(16_000, np.float32), "hello"),
    ):
        save(folder / f"{name}.wav", waveform)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    save(folder / "ben/untold.wav", good)
    save(folder / "ben/.hidden.wav", good)
    (folder / "ben/broken.wav").write_bytes(b"RIFF no audio")
    (folder / "ben/broken.txt").write_text("hello")
    (folder / "ben/latin.wav").symlink_to(folder / "ben/wrong.wav")
    (folder / "ben/latin.txt").write_bytes(b"caf\xe9")
    return folder


@pytest.fixture(scope="module")
def corpus(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("collected") / "corpus"
    counts = collect(folder, out, workers=0, recordings_per_part=4)
    assert (counts.num_utterances, counts.num_rejected) == (3, 7)
    return out


def test_ids_and_speakers_come_from_the_paths(folder: Path) -> None:
    found = {recording.id: recording.speaker for recording in find_recordings(folder)}
    assert {"anna-take_1", "anna-take_1-2", "ben-one"} <= found.keys() and len(found) == 10
    assert found["ben-one"] == "ben"
    assert {recording.speaker for recording in find_recordings(folder / "ben")} == {"ben"}


def test_good_recordings_are_aligned_and_copied_as_flac(corpus: Path, spoken_corpus: Path) -> None:
    assert validate_corpus(corpus).num_utterances == 3
    true = list(read_corpus(spoken_corpus))
    for mine, story in zip(read_corpus(corpus), true, strict=False):
        assert mine.text == story.text and mine.source == "my recordings"
        assert mine.audio is not None and mine.audio.suffix == ".flac"
        assert mine.seconds == pytest.approx(story.seconds, abs=0.1)
        starts = [abs(a.start - b.start) for a, b in zip(mine.words, story.words, strict=True)]
        assert np.mean(starts) < 0.05
        assert mine.phones


def test_everything_else_is_rejected_with_its_reason(corpus: Path) -> None:
    rows = [json.loads(line) for line in (corpus / "rejected.jsonl").read_text().splitlines()]
    reasons = {row["id"].removeprefix("ben-"): row["reason"] for row in rows}
    expected = {
        "wrong": "must say its text|must cover",
        "half": "must cover",
        "empty": "empty.txt is empty",
        "silent": "must say its text",
        "untold": "no file untold.txt",
        "broken": "must be audio",
        "latin": "UTF-8",
    }
    assert reasons.keys() == expected.keys()
    for name, words in expected.items():
        assert any(part in reasons[name] for part in words.split("|")), reasons[name]


def test_a_second_run_continues_and_the_workers_change_nothing(folder: Path, corpus: Path, tmp_path: Path) -> None:
    again = tmp_path / "corpus"
    shutil.copytree(corpus, again)
    shutil.rmtree(part_path(again, 0))
    shutil.rmtree(part_path(again, 2))
    assert collect(folder, again, workers=1, recordings_per_part=4).num_utterances == 3
    assert all(finished(again, part) for part in range(3))
    strip = [(u.id, u.words, u.phones) for u in read_corpus(corpus)]
    assert [(u.id, u.words, u.phones) for u in read_corpus(again)] == strip


def test_without_alignment_and_with_links(folder: Path, tmp_path: Path) -> None:
    collect(folder, tmp_path / "corpus", aligner=None, link=True, language="nl", workers=0)
    found = {utterance.id: utterance for utterance in read_corpus(tmp_path / "corpus")}
    assert found["ben-one"].words == found["ben-one"].phones == () and found["ben-one"].language == "nl"
    assert found["ben-one"].audio is not None and found["ben-one"].audio.resolve() == folder.resolve() / "ben/one.mp3"
    assert validate_corpus(tmp_path / "corpus").num_utterances == len(found) == 6


def test_another_folder_or_a_wrong_place_is_refused(folder: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds another corpus"):
        collect(folder / "ben", corpus, workers=0)
    with pytest.raises(InputError, match="outside the folder"):
        collect(folder, folder / "ben" / "corpus", workers=0)
    with pytest.raises(NotFoundError, match="no folder"):
        collect(folder / "nobody", tmp_path / "x", workers=0)
    with pytest.raises(NotFoundError, match="none in"):
        collect(tmp_path, tmp_path.parent / "x", workers=0)


def test_nothing_usable(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(folder / "ben/broken.wav", tmp_path / "in")
    with pytest.raises(InputError, match="all 1 were rejected"):
        collect(tmp_path / "in", tmp_path / "out", workers=0)
