"""A corpus becomes manifests that lhotse reads, and that become the same corpus again."""

import shutil
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.corpus import part_path, read_corpus
from smoltolk.data.corpora.lhotse_corpora import collect_manifests
from smoltolk.data.corpora.lhotse_export import export_manifests
from smoltolk.speech.audio import load


def test_there_and_back(spoken_corpus: Path, tmp_path: Path) -> None:
    counts = export_manifests(spoken_corpus, tmp_path / "manifests")
    assert counts.num_utterances == 8 and counts.num_rejected == 0
    assert collect_manifests(tmp_path / "manifests", tmp_path / "corpus", workers=0) == counts
    for mine, theirs in zip(read_corpus(tmp_path / "corpus"), read_corpus(spoken_corpus), strict=True):
        assert (mine.id, mine.text, mine.speaker, mine.language) == (
            theirs.id, theirs.text, theirs.speaker, theirs.language,
        )  # fmt: skip
        assert [word.text for word in mine.words] == [word.text for word in theirs.words]
        for a, b in zip(mine.words, theirs.words, strict=True):
            assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=1e-3)
        assert mine.audio is not None and theirs.audio is not None
        assert (load(mine.audio) == load(theirs.audio)).all()


def test_lhotse_reads_them(spoken_corpus: Path, tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    export_manifests(spoken_corpus, tmp_path / "m")
    recordings = lhotse.RecordingSet.from_file(tmp_path / "m" / "recordings.jsonl.gz")
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "m" / "supervisions.jsonl.gz")
    lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions)
    story = next(iter(read_corpus(spoken_corpus)))
    said = next(iter(supervisions))
    assert said.text == story.text and len(said.alignment["word"]) == len(story.words)
    assert [item.symbol for item in said.alignment["phone"]] == [phone.text for phone in story.phones]
    (sound,) = next(iter(recordings)).load_audio()
    assert story.audio is not None and sound == pytest.approx(load(story.audio), abs=1e-4)


def test_what_cannot_be_written_leaves_nothing(spoken_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds something else"):
        export_manifests(spoken_corpus, tmp_path / "there")
    corpus = Path(shutil.copytree(spoken_corpus, tmp_path / "corpus"))
    next(part_path(corpus, 1).glob("*.flac")).unlink()
    with pytest.raises(InputError, match="must be readable"):
        export_manifests(corpus, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "there"]
