"""Dialogues in files, as LLaMA-Factory and ms-swift have them, read with the place of every mistake.

A row is ``{"messages": [{"role": "user", "content": "<audio>What is said?"}, {"role": "assistant", "content": ...}],
"audios": ["a.wav"]}``: each ``<audio>`` stands for the next of ``audios``, whose paths are relative to the file. Also
taken are ``conversations`` of ``from`` and ``value`` (ShareGPT), ``system``, contents that are lists of parts
(``{"type": "text", "text": ...}``, ``{"type": "audio", "audio": PATH}``), and ``loss`` of a message (false: it is not
learned).

Preferences are rows whose last answer is the better one, with the worse one in ``rejected_response`` (its recordings in
``rejected_audios``) or as a whole dialogue in ``rejected_messages``; or rows that end with a question, with two
messages ``chosen`` and ``rejected``, whose recordings follow in ``audios``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import parse_line, read_json, read_lines
from smoltolk.common.rejection import Rejected, do_each

AUDIO = "<audio>"
_ROLES = {"user": False, "human": False, "system": False, "assistant": True, "gpt": True}
_OTHERS = ("images", "videos", "image", "video", "tools")

Part = str | Path  # a text, or a recording


@dataclass(frozen=True, slots=True)
class Message:
    """What one side says, of texts and recordings.

    Attributes:
        is_answer: the model's.
        parts: at least one, no text of spaces alone.
        is_learned: whether an answer is predicted.
    """

    is_answer: bool
    parts: tuple[Part, ...]
    is_learned: bool = True


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One row.

    Attributes:
        place: file and line, for messages.
        messages: the last of them an answer.
        rejected: of a preference, the dialogue with the worse answer; the better and the worse one share all messages
            but the last.
    """

    place: str
    messages: tuple[Message, ...]
    rejected: tuple[Message, ...] | None = None

    @property
    def recordings(self) -> list[Path]:
        """All that is heard in it."""
        messages = (*self.messages, *(self.rejected or ()))
        return [part for message in messages for part in message.parts if isinstance(part, Path)]


def read_dialogues(path: Path, rejected: list[Rejected], *, preferences: bool = False) -> list[Dialogue]:
    """The dialogues of a file.

    Args:
        path: ``.jsonl``, or ``.json`` with a list of rows.
        rejected: gets the rows that are none, each with its line.
        preferences: rows have a worse answer too.

    Raises:
        NotFoundError: no such file.
        InputError: not JSON, or no row that can be used.
    """
    kind = _preference if preferences else _dialogue
    found = [
        dialogue
        for _, dialogue in do_each(
            _rows(path),
            lambda row: kind(_value(row[1], path, row[0]), row[0], path.parent),
            lambda row: row[0],
            rejected,
        )
    ]
    if not found:
        why = f"; the first of {len(rejected)} others: {rejected[0].line()}" if rejected else ""
        raise InputError("a file of dialogues holds a row at least", f"{path} has none{why}", "correct its rows")
    return found


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Places, and what stands there: bytes of a line, or a value."""
    if path.suffix == ".json":
        value = read_json(path)
        if not isinstance(value, list):
            raise InputError(
                "a JSON file of dialogues is a list of rows", str(path), "write a list, or lines of .jsonl"
            )
        for number, row in enumerate(value, 1):
            yield f"{path}: row {number}", row
    else:
        for number, line in read_lines(path):
            if line.strip():
                yield f"{path}:{number}", line


def _value(row: Any, path: Path, place: str) -> dict[str, Any]:
    value = parse_line(row, path, int(place.rpartition(":")[2])) if isinstance(row, bytes) else row
    if not isinstance(value, dict):
        raise _wrong("a row is a JSON object", place, json.dumps(value)[:60])
    for name in _OTHERS:
        if value.get(name):
            raise _wrong("a model hears and reads", place, f"{name!r}", "leave such rows out")
    return value


def _dialogue(row: dict[str, Any], place: str, folder: Path) -> Dialogue:
    sounds = _Sounds(row.get("audios"), place, folder)
    messages = _messages(row, place, sounds)
    sounds.check_used()
    if not messages[-1].is_answer:
        raise _wrong("a row to learn from ends with an answer", place, "a question", "add a message of the assistant")
    if not any(message.is_answer and message.is_learned for message in messages):
        raise _wrong("a row has an answer to learn", place, "'loss' is false for each", "leave the row out")
    return Dialogue(place, messages)


def _preference(row: dict[str, Any], place: str, folder: Path) -> Dialogue:
    sounds = _Sounds(row.get("audios"), place, folder)
    messages = _messages(row, place, sounds)
    if "chosen" in row:
        chosen, worse = (_message(row.get(name), place, sounds, name) for name in ("chosen", "rejected"))
        sounds.check_used()
        messages, rejected = (*messages, chosen), (*messages, worse)
    elif "rejected_messages" in row:
        sounds.check_used()
        others = _Sounds(row.get("rejected_audios"), place, folder)
        rejected = _messages({"messages": row["rejected_messages"], "system": row.get("system")}, place, others)
        others.check_used()
    elif "rejected_response" in row:
        sounds.check_used()
        others = _Sounds(row.get("rejected_audios"), place, folder)
        content = row["rejected_response"]
        rejected = (*messages[:-1], _message({"role": "assistant", "content": content}, place, others, "rejected"))
        others.check_used()
    else:
        fix = "give rejected_response, rejected_messages, or chosen and rejected"
        raise _wrong("a preference has a worse answer too", place, ", ".join(row), fix)
    for one in (messages, rejected):
        if not one[-1].is_answer:
            raise _wrong("both dialogues of a preference end with an answer", place, "a question", "add the answer")
    if messages[:-1] != rejected[:-1] or len(messages) < 2:
        fix = "ask both the same"
        raise _wrong("what is preferred are two answers to one question", place, "different questions, or none", fix)
    if messages[-1].parts == rejected[-1].parts:
        raise _wrong("two answers that are compared differ", place, "the same answer twice", "leave the row out")
    return Dialogue(place, messages, rejected)


def _messages(row: dict[str, Any], place: str, sounds: _Sounds) -> tuple[Message, ...]:
    listed = row.get("messages", row.get("conversations"))
    if not isinstance(listed, list) or not listed:
        raise _wrong("a row has a list of messages", place, repr(listed)[:60], 'write {"messages": [...]}')
    system = row.get("system")
    if system:
        listed = [{"role": "system", "content": system}, *listed]
    return tuple(_message(one, place, sounds, f"message {number}") for number, one in enumerate(listed, 1))


def _message(value: Any, place: str, sounds: _Sounds, what: str) -> Message:
    if isinstance(value, str):  # LLaMA-Factory's pairs may be bare texts
        value = {"role": "assistant", "content": value}
    if not isinstance(value, dict):
        raise _wrong("a message has a role and a content", place, f"{what}: {value!r}"[:80], "correct it")
    role, content = value.get("role", value.get("from")), value.get("content", value.get("value"))
    if role not in _ROLES:
        fix = "leave rows with tools out"
        raise _wrong(f"a role is one of {', '.join(_ROLES)}", place, f"{what}: {role!r}", fix)
    parts = tuple(_parts(content, place, sounds, what))
    if not parts:
        raise _wrong("every message says something", place, f"{what} is empty", "write it, or leave it out")
    return Message(_ROLES[role], parts, bool(value.get("loss", True) in (True, None)))


def _parts(content: Any, place: str, sounds: _Sounds, what: str) -> Iterator[Part]:
    if isinstance(content, list):
        for part in content:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "text" and isinstance(part.get("text"), str):
                yield from _parts(part["text"], place, sounds, what)
            elif kind == "audio" and isinstance(part.get("audio"), str):
                yield sounds.named(part["audio"])
            elif kind == "audio":
                yield sounds.next(what)
            else:
                fix = 'write {"type": "text", "text": ...} or {"type": "audio", "audio": PATH}'
                raise _wrong("a part of a message is a text or a recording", place, f"{what}: {part!r}"[:80], fix)
        return
    if not isinstance(content, str):
        raise _wrong("the content of a message is a text", place, f"{what}: {content!r}"[:80], "write a text")
    for number, text in enumerate(content.split(AUDIO)):
        if number:
            yield sounds.next(what)
        if text.strip():
            yield text


class _Sounds:
    """The recordings of a row, taken in their order."""

    def __init__(self, listed: Any, place: str, folder: Path):
        listed = [] if listed is None else [listed] if isinstance(listed, str) else listed
        if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
            raise _wrong("audios are paths of recordings", place, repr(listed)[:60], 'write "audios": ["a.wav"]')
        self._listed, self._place, self._folder, self._taken = listed, place, folder, 0

    def next(self, what: str) -> Path:
        if self._taken == len(self._listed):
            found = f"{what}: <audio> number {self._taken + 1}, {len(self._listed)} audios"
            raise _wrong(f"every {AUDIO} stands for one of the row's audios", self._place, found, "add the recording")
        self._taken += 1
        return self.named(self._listed[self._taken - 1])

    def named(self, name: str) -> Path:
        path = self._folder / name
        if not path.is_file():
            raise NotFoundError("a recording is a file", f"{self._place}: no file {path}", "check the path")
        return path

    def check_used(self) -> None:
        if self._taken != len(self._listed):
            found = f"{self._taken} {AUDIO}, {len(self._listed)} audios"
            fix = f"write {AUDIO} where each is heard"
            raise _wrong(f"every one of a row's audios has an {AUDIO}", self._place, found, fix)


def _wrong(rule: str, place: str, found: str, fix: str = "correct the row") -> InputError:
    return InputError(rule, f"{place}: {found}", fix)


def without_answer(dialogue: Dialogue) -> Dialogue:
    """The same, its last answer left out: what is asked."""
    return replace(dialogue, messages=dialogue.messages[:-1], rejected=None)
