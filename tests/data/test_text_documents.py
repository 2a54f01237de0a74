"""Running text by number: from files that are not loaded, and from data sets."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError
from smoltolk.data.text_documents import LineDocuments, open_documents, save_documents, split_name

line = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=12)


@given(lines=st.lists(line, max_size=8), end=st.booleans(), as_json=st.booleans())
def test_documents_are_the_lines(
    lines: list[str], end: bool, as_json: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / ("any.jsonl" if as_json else "any.txt")
    rows = [json.dumps({"text": text}, ensure_ascii=False) if as_json else text for text in lines]
    path.write_bytes(("\ufeff" + "\n".join(rows) + ("\n" if end else "")).encode())
    texts = [" ".join(text.split()) for text in lines]
    expected = [text for text in texts if text]
    if not expected:
        with pytest.raises(InputError, match="at least one"):
            LineDocuments(path)
        return
    documents = LineDocuments(path)
    assert list(documents) == expected and len(documents) == len(expected)
    assert documents[-1] == expected[-1] and documents[1:] == expected[1:]
    again = pickle.loads(pickle.dumps(documents))  # noqa: S301 - our own
    assert [again[k] for k in range(len(expected))] == expected
    with pytest.raises(IndexError):
        documents[len(expected)]


def test_a_large_file_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("w") as file:
        for number in range(30_000):
            file.write(f"{number} {'word ' * 40}\n")
    documents = LineDocuments(path)
    documents[17]
    assert path.stat().st_size > 6e6 and len(pickle.dumps(documents)) < 300_000
    assert documents[29_999].startswith("29999 word") and documents[5] == " ".join(["5", *["word"] * 40])


def test_another_text_has_another_digest(tmp_path: Path) -> None:
    digests = set()
    for text in ("a\nb\n", "a\nc\n", "ab\n"):
        (tmp_path / "a.txt").write_text(text)
        digests.add(LineDocuments(tmp_path / "a.txt").digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}', r"must be like .*\n.*line 2"),
        ("a.jsonl", b'{"text": "a"}\n{', "line 2"),
        ("a.txt", b"good\n\xff\xfe\n", "UTF-8"),
        ("a.txt", b" \n\n", "at least one"),
        ("a.txt", b"", "at least one"),
        ("a.csv", b"a,b", r"a\.csv"),
    ],
)
def test_bad_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_documents(tmp_path / name)


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
