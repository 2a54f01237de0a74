"""Texts and what is heard of them: from a corpus, from shards, from a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.shards.parquet import UnitCorpus
from smoltolk.evaluation.tasks.said_texts import load_said_texts
from smoltolk.evaluation.tasks.task import Source


def test_a_corpus_has_recordings_and_shards_have_units(
    spoken_corpus: Path, shards_dir: Path, unit_corpus: UnitCorpus
) -> None:
    texts = {one.id: (one.text, one.audio) for one in read_corpus(spoken_corpus)}
    heard = load_said_texts("recognition", Source(spoken_corpus))
    assert {one.id: (one.text, one.sound.path) for one in heard.items if one.sound} == texts
    assert heard.metadata is None and all(one.units is None for one in heard.items)
    for source in (Source(shards_dir), Source(shards=shards_dir), Source(shards_dir.parent, shards=shards_dir)):
        stored = load_said_texts("recognition", source)
        assert stored.metadata == unit_corpus.metadata and all(one.sound is None for one in stored.items)
        for place, one in enumerate(stored.items):
            assert (one.id, one.text) == (unit_corpus.id(place), unit_corpus.text(place))
            assert one.units is not None and (one.units == unit_corpus.units(place)).all()
    both = load_said_texts("recognition", Source(spoken_corpus, shards=shards_dir))
    assert [one.sound and one.sound.name for one in both.items] == list(texts)


def test_texts_of_any_place_can_be_spoken(spoken_corpus: Path, shards_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("A dog.\n\nIt rains.\n")
    said = load_said_texts("synthesis", Source(tmp_path / "t.txt")).items
    assert [one.text for one in said] == ["A dog.", "It rains."]
    texts = [one.text for one in read_corpus(spoken_corpus)]
    for place in (spoken_corpus, shards_dir):
        assert [one.text for one in load_said_texts("synthesis", Source(place)).items] == texts


def test_some_are_drawn(spoken_corpus: Path) -> None:
    every = load_said_texts("recognition", Source(spoken_corpus)).items
    drawn = [load_said_texts("recognition", Source(spoken_corpus), 4, seed) for seed in (0, 0, 1)]
    first, again, other = [[one.id for one in found.items] for found in drawn]
    assert first == again and first != other and len(first) == 4
    assert first == [one.id for one in every if one.id in first]  # in order
    assert drawn[2].notes == ["4 of 8 texts, drawn with seed 1"]


def test_mistakes(spoken_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "A dog.", "id": "a"}\n' * 2)
    (tmp_path / "t.txt").write_text("A dog.\n")
    for name, source, message in (
        ("synthesis", Source(tmp_path / "t.jsonl"), "'a' stands twice"),
        ("recognition", Source(tmp_path / "t.txt"), "texts alone"),
        ("recognition", Source(tmp_path), "corpus directory or shards"),
        ("synthesis", Source(), "a file of texts"),
        ("recognition", Source(tmp_path / "nothing"), "no folder"),
    ):
        with pytest.raises((InputError, NotFoundError), match=message):
            load_said_texts(name, source)
    broken = tmp_path / "corpus"
    shutil.copytree(spoken_corpus, broken)
    shutil.rmtree(broken / "parts" / "00001")
    with pytest.raises(NotFoundError, match="missing"):
        load_said_texts("recognition", Source(broken))
