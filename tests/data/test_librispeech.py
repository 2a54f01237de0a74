"""A tree like LibriSpeech's goes through lhotse's own recipe, alignment and units into rows; what is broken is told."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import read_corpus, validate_corpus
from smoltolk.data.corpora.lhotse_corpora import collect_manifests, recipe_names, run_recipe
from smoltolk.data.corpora.realign import REPORT, align_corpus
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.prepare import prepare
from smoltolk.model.ids import IdSpace

pytest.importorskip("pocketsphinx")
pytest.importorskip("lhotse", reason="needs the extra 'corpora'")


@pytest.fixture(scope="module")
def tree(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LibriSpeech/dev-clean/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac and .trans.txt, one file broken."""
    tree = tmp_path_factory.mktemp("tree") / "LibriSpeech"
    for number, story in enumerate(list(read_corpus(spoken_corpus))[:5]):
        speaker, chapter = f"{84 + number // 3}", "121123"
        folder = tree / "dev-clean" / speaker / chapter
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{speaker}-{chapter}-{number % 3:04d}"
        assert story.audio is not None
        shutil.copy(story.audio, folder / f"{name}.flac")
        said = " ".join("".join(c for c in word if c.isalnum() or c == "'") for word in story.text.upper().split())
        with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as file:
            file.write(f"{name} {said}\n")
    broken = tree / "dev-clean" / "85" / "121123" / "85-121123-0001.flac"
    broken.write_bytes(broken.read_bytes()[:30])
    return tree


def test_the_whole_way(tree: Path, spoken_corpus: Path, phone_units_dir: Path, tokenizer: Any, tmp_path: Path) -> None:
    corpus, aligned, shards = tmp_path / "corpus", tmp_path / "aligned", tmp_path / "shards"
    warnings = run_recipe("librispeech", tree, corpus / "manifests", {"normalize_text": "lower"})
    assert warnings >= 1
    assert "85-121123-0001.flac cannot be opened" in (corpus / "manifests" / "recipe.log").read_text()
    counts = collect_manifests(corpus / "manifests", corpus, source="librispeech", workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (4, 1)
    assert "must be audio" in (corpus / "rejected.jsonl").read_text()
    assert not any(utterance.words for utterance in read_corpus(corpus))

    report = align_corpus(corpus, aligned, workers=0)
    assert report["asked"] == report["utterances"] == 4 and report["dropped"] == {}
    assert report == json.loads((aligned / REPORT).read_text())
    assert validate_corpus(aligned).num_utterances == 4
    true = {story.text: story for story in read_corpus(spoken_corpus)}
    for mine, story in zip(read_corpus(aligned), true.values(), strict=False):
        assert mine.speaker in ("84", "85") and mine.source == "librispeech" and mine.language == "English"
        assert len(mine.confidences) == len(mine.words) == len(story.words)
        assert 0.65 < np.mean(mine.confidences) < 1 and report["confidence"]["p5"] <= np.median(mine.confidences)
        assert np.mean([abs(a.start - b.start) for a, b in zip(mine.words, story.words, strict=True)]) < 0.05

    assert prepare(aligned, phone_units_dir, shards, workers=0).num_utterances == 4
    units = read_shards(shards)
    size = len(tokenizer)
    space = IdSpace(size + 5, units.metadata.num_units, size, size + 1, size + 2, tokenizer.eos_token_id)
    settings = RowSettings(length=96, spans=SpanLengths((2, 4), (2, 4)), minimum=8)
    streams = [Stream(task, AlignedCorpus(units, tokenizer, units.metadata.frame_rate)) for task in Task]
    rows = [RowSource(streams, space, seed=0, settings=settings).row(index) for index in range(20)]
    assert {row.task for row in rows} == set(Task)
    assert all((row.input_ids >= space.speech_offset).any() for row in rows if row.task is not Task.TEXT)


def test_the_same_recipe_is_kept_and_another_refused(tree: Path, tmp_path: Path) -> None:
    out, handlers = tmp_path / "manifests", list(logging.getLogger().handlers)
    assert run_recipe("librispeech", tree, out) == run_recipe("librispeech", tree, out)
    written = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    with pytest.raises(InputError, match="made with others"):
        run_recipe("librispeech", tree, out, {"normalize_text": "lower"})
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == written
    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("librispeach", {}, "librispeech"),
        ("librispeech", {"speed": 2}, "takes alignments_dir, dataset_parts"),
        ("librispeech", {"output_dir": "x"}, "output_dir"),
        ("librispeech", {"dataset_parts": ["test-clean"]}, "fix"),
        ("yesno", {}, "must go through|must find"),
    ],
)
def test_recipes_that_do_not_fit(name: str, options: dict[str, Any], message: str, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        run_recipe(name, tree, tmp_path / "manifests", options)
    assert not list(tmp_path.iterdir())


def test_the_wrong_directory_is_told(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Could not find any of librispeech"):
        run_recipe("librispeech", tree.parent, tmp_path / "manifests")
    with pytest.raises(NotFoundError, match="no directory"):
        run_recipe("librispeech", tree / "nothing", tmp_path / "manifests")
    assert {"librispeech", "librilight", "tedlium", "voxpopuli", "peoples_speech"} <= set(recipe_names())
