"""What cannot be looked at is told by small files alone, and models get short names."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoltolk.analysis.request import PARTS, check_request, names_of
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import write_json, write_text


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model, as far as its first file tells, and others."""
    write_json(tmp_path / "late" / "config.json", {"model_type": "smoltolk"})
    write_json(tmp_path / "llama" / "config.json", {"model_type": "llama"})
    write_text(tmp_path / "damaged" / "config.json", "{")
    write_text(tmp_path / "full" / "thesis.tex", "x")
    write_text(tmp_path / "shards" / "a.parquet", "x")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_what_can_be_asked(place: Path) -> None:
    out = place / "inside"
    check_request([place / "late"], place / "shards", out, PARTS, None)
    for name in ("parts/late-lens.json", "analysis.json", "lens.svg", "samples/x.wav", ".tmp-1-lens.svg"):
        write_text(out / name, "x")
    check_request([place / "late", "someone/a-model"], place / "shards", out, ["lens"], None)


@pytest.mark.parametrize(
    ("model", "shards", "out", "parts", "corpus", "message"),
    [
        ("nothing", "shards", "o", PARTS, None, "no directory .*nothing"),
        ("empty", "shards", "o", PARTS, None, "empty has no config.json"),
        ("llama", "shards", "o", PARTS, None, "a model of type 'llama'"),
        ("damaged", "shards", "o", PARTS, None, "damaged.config.json"),
        ("late", "nothing", "o", PARTS, None, "no directory .*nothing"),
        ("late", "empty", "o", PARTS, None, "empty"),
        ("late", "shards", "full", PARTS, None, "holds something else: thesis.tex"),
        ("late", "shards", "o", ["lense"], None, "'lense'"),
        ("late", "shards", "o", [], None, "none"),
        ("late", "shards", "o", PARTS, "empty", "empty has none"),
    ],
)
def test_what_cannot(model: str, shards: str, out: str, parts: list, corpus: str | None, message: str, place: Path):
    with pytest.raises((InputError, NotFoundError), match=message):
        check_request([place / model], place / shards, place / out, parts, corpus and place / corpus)


def test_places_with_detours(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "late")
    assert names_of(["."]) == ["late"] and names_of([".."]) == [place.name]
    assert names_of([".", "../llama"]) == ["late", "llama"]
    for twice in (["../late", "."], ["../late", place / "late"]):
        with pytest.raises(InputError, match="late twice"):
            names_of(twice)


def test_names() -> None:
    assert names_of(["/a/late/model", "/a/early/model"]) == ["late", "early"]
    assert names_of(["runs/one", "two"]) == ["one", "two"]
    assert names_of(["/a/x/b", "/c/x/d"]) == ["b", "d"]
    assert names_of(["x/old/model", "x/new/model", "y/other"]) == ["old", "new", "other"]
    assert names_of(["x/1/late", "y/1/late", "x/2/late"]) == ["x-1-late", "y-1-late", "x-2-late"]
    assert names_of(["a/x/1/m", "b/x/1/m", "b/x/2/m"]) == ["a-x-1-m", "b-x-1-m", "b-x-2-m"]
    assert names_of(["model"]) == ["model"]
    for wrong in ([], ["a", "a"], list("abcde")):
        with pytest.raises(InputError, match="one to four"):
            names_of(wrong)
