"""Rows as LLaMA-Factory and ms-swift write them, and every mistake told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.rejection import Rejected
from smoltolk.training.tuning.dialogues import Dialogue, read_dialogues
from smoltolk.training.tuning.messages import Message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sounds").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / "sounds" / name).write_bytes(b"")
    return tmp_path


def read(folder: Path, *rows: Any, preferences: bool = False) -> tuple[list[Dialogue], list[Rejected]]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rejected: list[Rejected] = []
    return read_dialogues(path, rejected, preferences=preferences), rejected


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


GOOD = {"messages": [said("user", "Hi."), said("assistant", "Hello.")]}


def test_forms_of_one_row(folder: Path) -> None:
    """The demonstration rows of LLaMA-Factory, the standard ones of ms-swift, ShareGPT, and lists of parts."""
    a = folder / "sounds" / "a.wav"
    rows = [
        {"messages": [said("user", "<audio>What?"), said("assistant", "Glass.")], "audios": ["sounds/a.wav"]},
        {"conversations": [{"from": "human", "value": "<audio>What?"}, {"from": "gpt", "value": "Glass."}],
         "audios": "sounds/a.wav"},
        {"messages": [said("user", [{"type": "audio", "audio": str(a)}, {"type": "text", "text": "What?"}]),
                      said("assistant", "Glass.")]},
    ]  # fmt: skip
    found, rejected = read(folder, *rows)
    expected = (Message(False, (a, "What?")), Message(True, ("Glass.",)))
    assert [one.messages for one in found] == [expected] * 3 and not rejected
    assert found[0].recordings == [a] and found[0].place.endswith("rows.jsonl:1")
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    listed = read_dialogues(folder / "rows.json", rejected)
    assert [one.messages for one in listed] == [expected] * 3 and listed[1].place.endswith("rows.json: row 2")


def test_recordings_in_their_order(folder: Path) -> None:
    row = {
        "system": "Speak.",
        "messages": [said("user", "<audio> and <audio>"), said("assistant", "<audio>", loss=False), *GOOD["messages"]],
        "audios": ["sounds/b.wav", "sounds/a.wav", "sounds/c.wav"],
    }
    (found,), _ = read(folder, row)
    names = [[part if isinstance(part, str) else part.name for part in one.parts] for one in found.messages]
    assert names == [["Speak."], ["b.wav", " and ", "a.wav"], ["c.wav"], ["Hi."], ["Hello."]]
    assert [one.is_learned for one in found.messages] == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("text", "JSON object"),
        ({}, "list of messages"),
        ({"messages": []}, "list of messages"),
        ({"messages": ["a", "b"], "images": ["x.png"]}, "'images'"),
        ({"messages": [said("tool", "x"), said("assistant", "y")]}, "'tool'"),
        ({"messages": [said("user", "x")]}, "ends with an answer"),
        ({"messages": [said("user", " "), said("assistant", "y")]}, "message 1 is empty"),
        ({"messages": [said("user", 5), said("assistant", "y")]}, "is a text"),
        ({"messages": [said("user", [5]), said("assistant", "y")]}, "a text or the path of a recording"),
        ({"messages": [said("user", "<audio>"), said("assistant", "y")]}, "0 audios"),
        ({"messages": [said("user", "<audio>"), said("assistant", "y")], "audios": ["sounds/a.wav"] * 2},
         "write <audio> where"),
        ({"messages": [said("assistant", "y")], "audios": ["sounds/a.wav"]}, "write <audio> where"),
        ({"query": "x", "response": "y"}, "a row of query, response"),
        ({**GOOD, "label": False}, "'label' is false"),
        ({"messages": [said("system", ""), said("system", "")]}, "ends with an answer"),
        ({"messages": [said("user", "<audio>"), said("assistant", "y")], "audios": ["z.wav"]}, "no file"),
        ({"messages": GOOD["messages"], "audios": [5]}, "audios are paths"),
        ({"messages": [said("user", "x"), said("assistant", "y", loss=False)]}, "answer to learn"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(folder: Path, row: Any, told: str) -> None:
    found, rejected = read(folder, GOOD, row, GOOD)
    assert len(found) == 2 and len(rejected) == 1
    assert rejected[0].id.endswith("rows.jsonl:2") and "rows.jsonl:2" in rejected[0].reason
    assert told in rejected[0].reason


def test_a_line_that_is_not_json(folder: Path) -> None:
    (folder / "rows.jsonl").write_text(json.dumps(GOOD) + "\n\n{\n", encoding="utf-8")
    rejected: list[Rejected] = []
    assert len(read_dialogues(folder / "rows.jsonl", rejected)) == 1
    assert rejected[0].id.endswith("rows.jsonl:3") and "line 3" in rejected[0].reason


def test_nothing_to_read(folder: Path) -> None:
    with pytest.raises(NotFoundError):
        read_dialogues(folder / "none.jsonl", [])
    (folder / "half.json").write_text('[{"messages": ', encoding="utf-8")
    with pytest.raises(InputError, match="correct the file"):
        read_dialogues(folder / "half.json", [])
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="a row at least"):
        read_dialogues(folder / "empty.jsonl", [])
    with pytest.raises(InputError, match=r"rows.jsonl:1"):
        read(folder, {"messages": [said("user", "x")]})


def test_preferences(folder: Path) -> None:
    a, b = folder / "sounds" / "a.wav", folder / "sounds" / "b.wav"
    question = said("user", "<audio>")
    rows = [
        {"messages": [question, said("assistant", "<audio>")], "audios": ["sounds/c.wav", "sounds/a.wav"],
         "rejected_response": "<audio>", "rejected_audios": ["sounds/b.wav"]},
        {"messages": [question, said("assistant", "<audio>")], "audios": ["sounds/c.wav", "sounds/a.wav"],
         "rejected_messages": [question, said("assistant", "<audio>")],
         "rejected_audios": ["sounds/c.wav", "sounds/b.wav"]},
        {"conversations": [{"from": "human", "value": "<audio>"}], "chosen": {"from": "gpt", "value": "<audio>"},
         "rejected": {"from": "gpt", "value": "<audio>"}, "audios": ["sounds/c.wav", "sounds/a.wav", "sounds/b.wav"]},
        {"messages": [said("user", "<audio>")], "chosen": "<audio>", "rejected": "<audio>",
         "audios": ["sounds/c.wav", "sounds/a.wav", "sounds/b.wav"]},
    ]  # fmt: skip
    found, rejected = read(folder, *rows, preferences=True)
    assert not rejected and len(found) == 4
    for one in found:
        assert one.rejected is not None
        assert one.messages[:-1] == one.rejected[:-1]
        assert one.messages[-1].parts == (a,) and one.rejected[-1].parts == (b,)


def test_a_worse_dialogue_hears_what_the_better_one_does(folder: Path) -> None:
    """Of ms-swift: its recordings are named only where they are others."""
    heard = {"messages": [said("system", "Hear."), said("user", "What?"), said("assistant", "Glass.")],
             "audios": ["sounds/a.wav"]}  # fmt: skip
    worse = [said("user", "What?"), said("assistant", "Wood.")]
    rows = [heard | {"system": None, "rejected_messages": [said("system", "Hear."), *worse]},
            heard | {"rejected_response": "Wood."}]  # fmt: skip
    found, rejected = read(folder, *rows, preferences=True)
    assert not rejected and found[0].messages == found[1].messages and found[0].rejected == found[1].rejected
    assert found[0].messages[1].parts == (folder / "sounds" / "a.wav", "What?")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (GOOD, "worse answer"),
        (GOOD | {"rejected_response": "Hello."}, "differ"),
        ({"messages": [said("assistant", "x")], "rejected_response": "y"}, "one question"),
        ({"messages": [said("user", "x")], "rejected_response": "y"}, "end with an answer"),
        (GOOD | {"rejected_messages": [said("user", "Other"), said("assistant", "x")]}, "one question"),
        (GOOD | {"rejected_response": "<audio>"}, "0 audios"),
    ],
)
def test_what_is_no_preference(folder: Path, row: Any, told: str) -> None:
    _, rejected = read(folder, GOOD | {"rejected_response": "Go away."}, row, preferences=True)
    assert told in rejected[0].reason and "rows.jsonl:2" in rejected[0].reason
