"""Running text by number, from files that are not loaded."""

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.texts.text_documents import LineDocuments

line = st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=12)


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
        LineDocuments(tmp_path / name)
