"""A mended corpus is the corpus that a run into a new directory makes, and only what changed is made anew."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.corpus import part_path, read_corpus, read_info, validate_corpus
from smoltolk.data.corpora.folder_items import Recording
from smoltolk.data.corpora.realign import align_corpus
from smoltolk.data.corpora.recordings import collect, find_items
from smoltolk.speech.audio import save


def put(folder: Path, name: str, text: str | None = "one two", level: float = 0.1) -> None:
    save(folder / f"{name}.wav", np.full(8_000, level, np.float32))
    if text is not None:
        (folder / f"{name}.txt").write_text(text)


def files_of(corpus: Path) -> dict[str, bytes]:
    return {str(path.relative_to(corpus)): path.read_bytes() for path in corpus.rglob("*") if path.is_file()}


def collected(folder: Path, out: Path, **options: object) -> None:
    collect(folder, out, aligner=None, workers=0, recordings_per_part=3, **options)  # type: ignore[arg-type]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of recordings whose sound was read."""
    names: list[str] = []
    sound = Recording.sound

    def reading(self: Recording) -> np.ndarray:
        names.append(self.id)
        return sound(self)

    monkeypatch.setattr(Recording, "sound", reading)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for number in range(8):
        put(folder, f"r{number}", level=0.01 * (number + 1))
    put(folder, "untold", None)
    return folder


def test_only_what_changed_is_made_anew(folder: Path, tmp_path: Path, read: list[str]) -> None:
    collected(folder, tmp_path / "out")
    assert sorted(read) == [f"r{k}" for k in range(8)]  # a recording without a text is not read
    digest = read_info(tmp_path / "out").digest
    read.clear()
    collected(folder, tmp_path / "out")
    assert read == []
    (folder / "r1.txt").write_text("three four")  # a text
    (folder / "untold.txt").write_text("five")  # what was rejected
    save(folder / "r6.wav", np.full(8_000, -0.3, np.float32))  # a recording, of the same size
    put(folder, "a new one")  # all others move on by one
    (folder / "r7.wav").unlink()
    collected(folder, tmp_path / "out")
    assert sorted(read) == ["a_new_one", "r1", "r6", "untold"]
    assert read_info(tmp_path / "out").digest != digest
    validate_corpus(tmp_path / "out")
    collected(folder, tmp_path / "fresh", source="in")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")
    assert [u.id for u in read_corpus(tmp_path / "out")] == ["a_new_one", *(f"r{k}" for k in range(7)), "untold"]


changes = st.lists(
    st.tuples(st.sampled_from(["text", "sound", "new", "gone", "untell"]), st.integers(0, 9)), min_size=1, max_size=4
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(changes, min_size=1, max_size=3), killed=st.integers(0, 3))
def test_any_changes_and_a_kill(rounds: list, killed: int, tmp_path: Path) -> None:
    """After every round of changes some parts are lost, as a kill in the middle would leave it."""
    place = tmp_path / str(time.monotonic_ns())
    folder = place / "in"
    for number in range(5):
        put(folder, f"r{number}", level=0.01 * (number + 1))
    collected(folder, place / "out")
    for count, some in enumerate(rounds):
        for kind, number in some:
            if kind in ("new", "sound"):
                put(folder, f"r{number}", level=0.1 + 0.01 * (count + number))
            elif kind == "text":
                (folder / f"r{number}.txt").write_text(f"text {count}")
            else:
                (folder / f"r{number}{'.txt' if kind == 'untell' else '.wav'}").unlink(missing_ok=True)
        if not any(isinstance(item, Recording) for item in find_items_or_none(folder)):
            put(folder, "last")
        stopped = _stopping_at(killed)
        try:
            collect(folder, place / "out", aligner=None, workers=0, recordings_per_part=3)
        except InputError as error:
            assert "rejected" in str(error)  # no recording has a text
        shutil.rmtree(part_path(place / "out", next(stopped)), ignore_errors=True)
    for out in ("out", "fresh"):
        try:
            collected(folder, place / out)
        except InputError as error:
            assert "rejected" in str(error)
    assert files_of(place / "out") == files_of(place / "fresh")


def find_items_or_none(folder: Path) -> list:
    try:
        return list(find_items(folder))
    except FileNotFoundError:
        return []


def _stopping_at(part: int) -> Iterator[int]:
    while True:
        yield part


def test_a_kill_while_it_is_mended(
    folder: Path, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    collected(folder, out)
    (folder / "r0.txt").write_text("another text")
    (folder / "r7.txt").write_text("another text")
    sound = Recording.sound

    def killed(self: Recording) -> np.ndarray:
        if self.id == "r7":
            raise KeyboardInterrupt
        return sound(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Recording, "sound", killed)
        collected(folder, out)
    assert part_path(out, 0).is_dir() and not part_path(out, 2).is_dir()
    (folder / "r5.txt").write_text("meanwhile")  # and once more before it went on
    read.clear()
    collected(folder, out)
    assert sorted(read) == ["r5", "r7"]
    collected(folder, tmp_path / "fresh", source="in")
    assert files_of(out) == files_of(tmp_path / "fresh")


def test_another_place_or_way_is_another_corpus(folder: Path, tmp_path: Path) -> None:
    collected(folder, tmp_path / "out")
    other = tmp_path / "elsewhere" / "in"
    shutil.copytree(folder, other)  # copy2: the times of the files stay
    collected(other, tmp_path / "out")  # moved, but nothing changed
    (other / "r1.txt").write_text("changed")
    with pytest.raises(InputError, match="holds another corpus"):
        collected(other, tmp_path / "out")
    with pytest.raises(InputError, match="holds another corpus"):
        collected(folder, tmp_path / "out", language="nl")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds something else: thesis"):
        collected(folder, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_a_mended_corpus_is_aligned_where_it_changed(spoken_corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    folder = tmp_path / "in"
    folder.mkdir()
    stories = list(read_corpus(spoken_corpus))[:3]
    for story in stories:
        assert story.audio is not None
        shutil.copy2(story.audio, folder / f"{story.id}.flac")
        (folder / f"{story.id}.txt").write_text(story.text)
    (folder / f"{stories[0].id}.txt").write_text("Some other sentence.")
    collect(folder, tmp_path / "corpus", aligner=None, workers=0)
    assert align_corpus(tmp_path / "corpus", tmp_path / "aligned", phones=False, workers=0)["utterances"] == 2
    (folder / f"{stories[0].id}.txt").write_text(stories[0].text)
    collect(folder, tmp_path / "corpus", aligner=None, workers=0)
    before = {path.name: path.stat().st_ino for path in (tmp_path / "aligned").rglob("*.flac")}
    assert align_corpus(tmp_path / "corpus", tmp_path / "aligned", phones=False, workers=0)["utterances"] == 3
    after = {path.name: path.stat().st_ino for path in (tmp_path / "aligned").rglob("*.flac")}
    assert before.items() <= after.items() and len(after) == 3
    assert json.loads((tmp_path / "aligned" / "alignment.json").read_text())["asked"] == 3
