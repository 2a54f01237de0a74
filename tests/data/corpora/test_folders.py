"""Links are followed, circles come to an end, and what cannot be listed is told."""

from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.folders import list_folder
from smoltolk.data.corpora.recordings import collect, find_items, find_recordings, left_alone
from smoltolk.speech.audio import save


def put(path: Path) -> Path:
    save(path, np.full(8_000, 0.1, np.float32))
    path.with_suffix(".txt").write_text("one")
    return path


def test_linked_folders_are_read_once_and_circles_end(tmp_path: Path) -> None:
    folder, other = tmp_path / "in", tmp_path / "other"
    put(folder / "ben" / "two.wav")
    put(other / "anna" / "one.wav")
    (folder / "anna").symlink_to(other / "anna")
    (folder / "again").symlink_to(folder / "ben")
    (other / "anna" / "circle").symlink_to(folder)
    (folder / "ben" / "up").symlink_to("..")
    (folder / ".hidden").symlink_to(other)
    (folder / "self").symlink_to("self")
    found = {recording.origin: recording for recording in find_recordings(folder)}
    assert found.keys() == {"anna/one.wav", "ben/two.wav"}
    assert (found["anna/one.wav"].id, found["anna/one.wav"].speaker) == ("anna-one", "anna")
    counts = collect(folder, tmp_path / "corpus", aligner=None, workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (2, 0)
    onlylinks = tmp_path / "onlylinks"
    onlylinks.mkdir()
    (onlylinks / "anna").symlink_to(other / "anna")
    (onlylinks / "a.wav").symlink_to(folder / "ben" / "two.wav")
    assert [recording.id for recording in find_recordings(onlylinks)] == ["a", "anna-circle-ben-two", "anna-one"]
    with pytest.raises(InputError, match="outside the folder"):  # its flacs would be found by the next run
        collect(onlylinks, folder / "corpus", aligner=None, workers=0)


def test_origins_stand_beside_ids(tmp_path: Path) -> None:
    for name in ("录音 1", "_", "-4711", "a b", "A_B"):
        put(tmp_path / "in" / f"{name}.wav")
    collect(tmp_path / "in", tmp_path / "corpus", aligner=None, workers=0)
    found = {utterance.origin: utterance.id for utterance in read_corpus(tmp_path / "corpus")}
    assert found == {"录音 1.wav": "录音_1", "_.wav": "_", "-4711.wav": "-4711", "A_B.wav": "A_B", "a b.wav": "a_b-2"}


def test_what_is_left_alone_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.wav")
    for name in ("a.xyz", "b.XYZ", "c.xyz", "README", ".hidden.xyz", "b.txt"):
        (tmp_path / name).write_text("x")
    assert left_alone(tmp_path) == "3 files with suffix .xyz, 1 file without suffix"
    assert len(find_items(tmp_path)) == 2


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "closed").mkdir()
    (tmp_path / "in" / "closed").chmod(0)
    listing = list_folder(tmp_path / "in")
    if not listing.unreadable:
        pytest.skip("this user may read every folder")
    (item,) = (item for item in find_items(tmp_path / "in") if item.id == "closed")
    with pytest.raises(ValueError, match="must be readable"):
        item.said()
