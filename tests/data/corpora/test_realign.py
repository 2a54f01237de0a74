"""A corpus gets word times from an aligner: a new corpus, a report, and nothing lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import part_path, read_corpus, validate_corpus
from smoltolk.data.corpora.realign import REPORT, align_corpus
from smoltolk.data.corpora.recordings import collect
from smoltolk.speech.audio import save

pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def mixed(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spoken corpus of which two utterances cannot be aligned: other words, and no sound."""
    corpus = Path(shutil.copytree(spoken_corpus, tmp_path_factory.mktemp("mixed") / "corpus"))
    path = part_path(corpus, 0) / "utterances.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["text"] = "Entirely different sentences have nothing at all to do with that recording."
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (part_path(corpus, 1) / rows_of(corpus, 1)[0]["audio"]).unlink()
    return corpus


def rows_of(corpus: Path, part: int) -> list[dict]:
    return [json.loads(line) for line in (part_path(corpus, part) / "utterances.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def aligned(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aligned") / "corpus"
    align_corpus(mixed, out, workers=0)
    return out


def test_words_get_times_and_scores(aligned: Path, spoken_corpus: Path) -> None:
    true = {story.id: story for story in read_corpus(spoken_corpus)}
    assert validate_corpus(aligned).num_utterances == 6
    for mine in read_corpus(aligned):
        story = true[mine.id]
        assert (mine.text, mine.speaker, mine.source, mine.language) == (
            story.text, story.speaker, story.source, story.language,
        )  # fmt: skip
        assert len(mine.confidences) == len(mine.words) and all(0.3 < one <= 1 for one in mine.confidences)
        assert np.mean([abs(a.start - b.start) for a, b in zip(mine.words, story.words, strict=True)]) < 0.05


def test_recordings_are_linked_not_copied(aligned: Path, mixed: Path) -> None:
    theirs = {story.id: story.audio for story in read_corpus(mixed)}
    for mine in read_corpus(aligned):
        assert mine.audio is not None and theirs[mine.id] is not None
        assert mine.audio.samefile(theirs[mine.id]) and not mine.audio.is_symlink()  # type: ignore[arg-type]


def test_the_report_counts_what_was_dropped(aligned: Path, mixed: Path) -> None:
    report = json.loads((aligned / REPORT).read_text())
    rejected = [json.loads(line) for line in (aligned / "rejected.jsonl").read_text().splitlines()]
    assert (report["asked"], report["utterances"], sum(report["dropped"].values())) == (8, 6, 2)
    assert {row["id"] for row in rejected} == {rows_of(mixed, part)[0]["id"] for part in (0, 1)}
    assert "an audio file must exist" in report["dropped"]
    sure = [one for mine in read_corpus(aligned) for one in mine.confidences]
    assert report["words"] == len(sure)
    assert report["confidence"]["p50"] == pytest.approx(np.median(sure), abs=1e-3)
    assert report["aligner"] == "pocketsphinx" and report["lowest_confidence"] == 0.65


def test_the_same_call_continues_and_another_is_refused(aligned: Path, mixed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (aligned / "parts").rglob("*")}
    report = json.loads((aligned / REPORT).read_text())
    assert align_corpus(mixed, aligned, workers=0) == report
    assert {path: path.stat().st_mtime_ns for path in (aligned / "parts").rglob("*")} == before
    with pytest.raises(InputError, match="holds another corpus"):
        align_corpus(mixed, aligned, lowest_confidence=0.7, workers=0)


def test_strict_limits_drop_everything_but_lose_nothing(spoken_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all 8 were rejected"):
        align_corpus(spoken_corpus, tmp_path / "out", lowest_confidence=1.0, phones=False, workers=0)
    assert len((tmp_path / "out" / "rejected.jsonl").read_text().splitlines()) == 8


def test_long_ones_are_cut(spoken_corpus: Path, tmp_path: Path) -> None:
    report = align_corpus(spoken_corpus, tmp_path / "out", longest=4.0, lowest_confidence=0.2, phones=False, workers=0)
    pieces = list(read_corpus(tmp_path / "out"))
    assert report["utterances"] == len(pieces) > 8 and max(piece.seconds for piece in pieces) <= 4.0
    assert validate_corpus(tmp_path / "out").num_utterances == len(pieces)
    rejected = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    assert len(pieces) + len(rejected) == len({p.id for p in pieces} | {json.loads(row)["id"] for row in rejected})
    story = next(iter(read_corpus(spoken_corpus)))
    first = [piece for piece in pieces if piece.id.startswith(story.id)]
    assert " ".join(piece.text for piece in first) in story.text or rejected


def test_mistakes(spoken_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        align_corpus(spoken_corpus, tmp_path / "out", lowest_confidence=-5.0, workers=0)
    with pytest.raises(InputError, match="'nl'"):
        align_corpus(spoken_corpus, tmp_path / "out", language="nl", workers=0)
    with pytest.raises(InputError, match="twice"):
        align_corpus(spoken_corpus, spoken_corpus, workers=0)
    with pytest.raises(NotFoundError, match=r"corpus\.json"):
        align_corpus(tmp_path, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def ctc_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of AutoModelForCTC that knows nothing."""
    directory = tmp_path_factory.mktemp("ctc")
    letters = ["<pad>", "<s>", "</s>", "<unk>", *"|ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    (directory / "vocab.json").write_text(json.dumps({letter: k for k, letter in enumerate(letters)}))
    Wav2Vec2CTCTokenizer(str(directory / "vocab.json")).save_pretrained(directory)
    Wav2Vec2FeatureExtractor().save_pretrained(directory)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    convolutions = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    Wav2Vec2ForCTC(Wav2Vec2Config(vocab_size=len(letters), **size, **convolutions)).save_pretrained(directory)
    return directory


def test_four_minutes_go_through_a_ctc_model_into_utterances(ctc_model: Path, tmp_path: Path) -> None:
    """Longer than pocketsphinx takes; the whole text is aligned at once, then cut."""
    folder = tmp_path / "in"
    folder.mkdir()
    save(folder / "talk.flac", np.random.default_rng(0).uniform(-0.1, 0.1, 240 * 16_000).astype(np.float32))
    words = [f"word{k}" if k % 7 else "stop." for k in range(300)]
    (folder / "talk.txt").write_text(" ".join(words))
    counts = collect(folder, tmp_path / "out", aligner=str(ctc_model), lowest_confidence=0.0, longest=20.0)
    pieces = list(read_corpus(tmp_path / "out"))
    assert validate_corpus(tmp_path / "out") == counts and len(pieces) >= 12
    assert [word for piece in pieces for word in piece.text.split()] == words
    assert all(piece.seconds <= 20 and len(piece.confidences) == len(piece.words) for piece in pieces)
    # It knows nothing, and says so: with its usual limit nothing is kept.
    with pytest.raises(InputError, match="rejected"):
        align_corpus(tmp_path / "out", tmp_path / "again", aligner=str(ctc_model))
    assert "a confidence of" in (tmp_path / "again" / "rejected.jsonl").read_text()
