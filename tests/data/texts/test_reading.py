"""Texts from files, and pieces of them that fit rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.rows.aligned import AlignedCorpus, Texts
from smoltolk.data.texts.reading import endless, fitting_pieces, read_documents, read_texts


def test_a_line_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffOne  two.\r\n\n Three\u00a0four. \n".encode())
    assert read_texts(path) == [{"id": "00000", "text": "One two."}, {"id": "00001", "text": "Three four."}]


def test_json_lines_keep_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 7, "text": "One.", "voice": 3}\n\n{"text": "Two."}\n')
    assert read_texts(path) == [{"id": "7", "text": "One.", "voice": 3}, {"id": "00001", "text": "Two."}]
    assert list(read_documents(path)) == ["One.", "Two."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": 3}', 'must be like {"text"'),
        ("a.jsonl", b"[1]", 'must be like {"text"'),
        ("a.jsonl", b'{"text": "a"}\n{', "line 2"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.txt", b" \n", "at least one"),
        ("a.csv", b"a,b", ".txt"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_texts(tmp_path / name)
    assert message in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_texts(tmp_path / "nothing.txt")


def test_pieces_fit_a_row_and_hold_every_word(tokenizer: Any) -> None:
    documents = ["The dog eats bread in Oslo. " * 20, "Happy cat!", "a " * 60]
    pieces, per_row = fitting_pieces(AlignedCorpus(Texts(documents), tokenizer, 1.0), row_length=64, seed=0)
    assert sorted(" ".join(pieces).split()) == sorted(" ".join(documents).split())
    assert all(len(tokenizer(piece)["input_ids"]) <= 64 for piece in pieces)
    assert per_row >= 2 and pieces[1:3] == [pieces[1], pieces[2]] and pieces[-1] == pieces[len(pieces) - 1]
    with pytest.raises(IndexError):
        pieces[len(pieces)]


def test_each_epoch_visits_every_text_once_in_another_order() -> None:
    text = endless([f"t{k}" for k in range(30)], seed=1)
    first, second = ([text(k) for k in range(start, start + 30)] for start in (0, 30))
    assert sorted(first) == sorted(second) and first != second
    assert text(5) == first[5]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_reader_ends_lines_alike(tmp_path: Path, end: str) -> None:
    lines = ["one", "two\x0ctwo", "", "three\u2028three \x85 \x1c three", "four"]
    (tmp_path / "a.txt").write_bytes(end.join([*lines, ""]).encode())
    (tmp_path / "b.jsonl").write_bytes(end.join(json.dumps({"text": line}) for line in lines if line).encode())
    expected = ["one", "two two", "three three three", "four"]
    for name in ("a.txt", "b.jsonl"):
        assert [row["text"] for row in read_texts(tmp_path / name)] == expected
        documents = read_documents(tmp_path / name)
        assert list(documents) == expected and documents[2] == expected[2]


def test_half_a_character_in_json_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "x\\ud83d", "text": "cut \\ud83d"}\n{"text": "fine \\ud83d\\ude00"}\n')
    assert [row["text"] for row in read_texts(tmp_path / "a.jsonl")] == ["cut \ufffd", "fine \U0001f600"]
    assert read_texts(tmp_path / "a.jsonl")[0]["id"] == "x\ufffd"
    assert list(read_documents(tmp_path / "a.jsonl")) == ["cut \ufffd", "fine \U0001f600"]
