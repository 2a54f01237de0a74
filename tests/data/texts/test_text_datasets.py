"""Texts of data sets: by number from disk, or streamed into a file."""

from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError
from smoltolk.data.texts.text_datasets import open_documents, save_documents, split_name


def test_a_file_needs_no_data_sets(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.\n\nTwo.\n")
    assert list(open_documents(tmp_path / "a.txt")) == ["One.", "Two."]
    assert save_documents(str(tmp_path / "a.txt"), tmp_path / "b.jsonl", most=1) == 1
    assert list(open_documents(tmp_path / "b.jsonl")) == ["One."]


@pytest.mark.parametrize("name", ["nothing.txt", "nothing", "/nowhere/at/all", "./a/b", "a/b/c"])
def test_what_is_neither_here_nor_a_name_of_the_hub(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match="no file"):
        open_documents(name)


def test_names_of_the_hub() -> None:
    assert split_name("a/b") == ("a/b", None, "train")
    assert split_name("a/b:c") == ("a/b", "c", "train")
    assert split_name("a/b::test") == ("a/b", None, "test")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"smoltolk\[text\]"):
        open_documents(tmp_path)


class TestDatasets:
    """With the real library, on local directories."""

    @pytest.fixture
    def rows(self) -> Any:
        datasets = pytest.importorskip("datasets")
        return datasets.Dataset.from_dict({"text": [f"Document  {k}." for k in range(5)], "n": list(range(5))})

    def test_saved_on_disk(self, rows: Any, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets")
        rows.save_to_disk(tmp_path / "one")
        documents = open_documents(tmp_path / "one")
        assert list(documents) == [f"Document {k}." for k in range(5)] and documents[-1] == "Document 4."
        datasets.DatasetDict(train=rows, test=rows.select([3])).save_to_disk(tmp_path / "two")
        assert list(open_documents(f"{tmp_path / 'two'}")) == list(documents)
        assert open_documents(tmp_path / "two").digest == documents.digest
        with pytest.raises(InputError, match="has text, n"):
            open_documents(tmp_path / "one", "content")
        with pytest.raises(InputError, match="holds texts"):
            open_documents(tmp_path / "one", "n")

    def test_a_directory_of_parquet(self, rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pytest.importorskip("datasets").config, "HF_DATASETS_CACHE", tmp_path / "cache")
        (tmp_path / "data").mkdir()
        rows.to_parquet(tmp_path / "data" / "train.parquet")
        assert save_documents(str(tmp_path / "data"), tmp_path / "out.jsonl", most=3) == 3
        assert list(open_documents(tmp_path / "out.jsonl")) == [f"Document {k}." for k in range(3)]
        assert save_documents(str(tmp_path / "data"), tmp_path / "out.jsonl") == 5

    def test_nothing_is_left_of_what_fails(self, rows: Any, tmp_path: Path) -> None:
        rows.save_to_disk(tmp_path / "one")
        (empty := tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="name another column"):
            save_documents(str(tmp_path / "one"), tmp_path / "out.jsonl", column="content")
        with pytest.raises(InputError, match="a document at least"):
            save_documents(str(tmp_path / "one"), tmp_path / "out.jsonl", most=0)
        with pytest.raises(InputError, match=r"\.jsonl"):
            save_documents(str(tmp_path / "one"), tmp_path / "out.txt")
        with pytest.raises(InputError, match="check the name"):
            open_documents(str(empty))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "one"]
