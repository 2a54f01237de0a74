"""The forms that people write messages in say the same; what can be none of them is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.training.tuning.messages import Message, Sounds, listed_messages, read_messages, with_audios


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b ü.wav"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def read(folder: Path, row: dict[str, Any]) -> tuple[Message, ...]:
    sounds = Sounds(row.get("audios"), "here", folder)
    found = read_messages(with_audios(listed_messages(row, "here"), [], sounds), "here", sounds)
    sounds.check_used()
    return found


def asked(content: Any, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "Glass."}]
    return {"messages": messages, **more}


def test_sides_by_many_names(folder: Path) -> None:
    expected = (Message(False, ("Hi.",)), Message(True, ("Hello.",)))
    for role, content, user, assistant in (
        ("role", "content", "user", "assistant"), ("from", "value", "human", "gpt"), ("role", "content", "user", "bot"),
    ):  # fmt: skip
        listed = [{role: user, content: "Hi."}, {role: assistant, content: "Hello."}]
        for name in ("messages", "conversations", "conversation"):
            assert read(folder, {name: listed}) == expected
    assert read(folder, {"conversation": [{"human": "Hi.", "assistant": "Hello."}]}) == expected
    assert read(folder, {"conversation": [{"assistant": "Hello.", "human": "Hi."}]}) == expected


def test_the_system_may_stand_beside_the_messages_and_may_be_silent(folder: Path) -> None:
    row = asked("Hi.")
    for silent in ("", None, []):
        listed = [{"role": "system", "content": silent}, *row["messages"]]
        assert read(folder, {"messages": listed, "system": None}) == read(folder, row)
    expected = (Message(False, ("Be short.",)), *read(folder, row))
    for name in ("system", "system_prompt"):
        assert read(folder, {**row, name: "Be short."}) == expected
    assert read(folder, {"messages": [{"role": "system", "content": "Be short."}, *row["messages"]]}) == expected


SOUND = "b ü.wav"


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        (asked("<audio>What?", audios=[SOUND]), (SOUND, "What?")),
        (asked("Say <audio>, what?", audios=SOUND), ("Say ", SOUND, ", what?")),
        (asked("<audio><audio>", audios=[SOUND, "a.wav"]), (SOUND, "a.wav")),
        (asked("What?", audios=[SOUND, "a.wav"]), (SOUND, "a.wav", "What?")),
        (asked("What?", audios=[{"path": SOUND, "bytes": None}]), (SOUND, "What?")),
        (asked([{"type": "text", "text": "What?"}], audios=[SOUND]), (SOUND, "What?")),
        (asked([{"type": "audio"}, {"type": "text", "text": "What?"}], audios=[SOUND]), (SOUND, "What?")),
        (asked([{"type": "text", "text": "<audio>What?"}], audios=[SOUND]), (SOUND, "What?")),
        (asked([{"type": "audio", "audio": SOUND}]), (SOUND,)),
        (asked([{"type": "audio", "path": SOUND}]), (SOUND,)),
        (asked([{"type": "audio", "url": SOUND}]), (SOUND,)),
        (asked([{"type": "audio_url", "audio_url": {"url": SOUND}}]), (SOUND,)),
        (asked([{"type": "audio_url", "audio_url": "a.wav"}, {"type": "text", "text": "x"}]), ("a.wav", "x")),
    ],
)
def test_recordings_where_they_are_heard(row: dict[str, Any], parts: tuple[str, ...], folder: Path) -> None:
    found = read(folder, row)[0].parts
    assert tuple(part if isinstance(part, str) else part.name for part in found) == parts
    assert all(part.is_file() for part in found if isinstance(part, Path))


def test_whole_paths_and_addresses_of_files(folder: Path) -> None:
    place = folder / SOUND
    for name in (str(place), place.as_uri(), f"file://{place}"):
        assert read(folder, asked("<audio>", audios=[name]))[0].parts == (place,)


def test_what_is_learned(folder: Path) -> None:
    for loss, learned in ((None, True), (True, True), (1.0, True), (False, False), (0, False)):
        row = asked("Hi.")
        row["messages"][1]["loss"] = loss
        assert read(folder, row)[1].is_learned == learned


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (asked("<audio>", audios=["https://somewhere/a.wav"]), "on this machine"),
        (asked("<audio>", audios=["data:audio/wav;base64,AAAA"]), "on this machine"),
        (asked("<audio>", audios=[{"path": None, "bytes": "AAAA"}]), "audios are paths"),
        (asked([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]), "path of a recording"),
        (asked([{"type": "audio", "audio": {"array": [0.0]}}]), "path of a recording"),
        (asked([{"type": ["audio"]}]), "path of a recording"),
        ({"messages": [{"role": ["user"], "content": "x"}], "audios": ["a.wav"]}, "a role is one of"),
        ({"messages": [{"role": "function_call", "content": "x"}]}, "rows with tools"),
        ({"messages": [{"role": "user"}]}, "is a text"),
        ({"messages": "Hi."}, "list of messages"),
        ({"instruction": "x", "input": "", "output": "y"}, "instruction, input, output"),
        (asked("<audio> x", audios=["a.wav", "a.wav"]), "1 <audio>, 2 audios"),
        ({"messages": [{"role": "user", "content": "x", "loss": "no"}]}, "true or false"),
    ],
)
def test_refused_by_name(row: dict[str, Any], told: str, folder: Path) -> None:
    with pytest.raises((InputError, NotFoundError), match=told) as caught:
        read(folder, row)
    assert caught.value.found.startswith("here: ")
