"""Dialogues in files, as LLaMA-Factory and ms-swift have them, read with the place of every mistake.

A row is ``{"messages": [{"role": "user", "content": "<audio>What is said?"}, {"role": "assistant", "content": ...}],
"audios": ["a.wav"]}``: each ``<audio>`` stands for the next of ``audios``, whose paths are relative to the file; where
there is none, all are heard before the first question. Also taken are ``conversations`` of ``from`` and ``value``
(ShareGPT) or of ``human`` and ``assistant``, ``system`` beside them, contents that are lists of parts (``{"type":
"text", "text": ...}``, ``{"type": "audio", "audio": PATH}``), and ``loss`` of a message (false: it is not learned).

Preferences are rows whose last answer is the better one, with the worse one in ``rejected_response`` (its recordings in
``rejected_audios``) or as a whole dialogue in ``rejected_messages``; or rows that end with a question, with two
messages ``chosen`` and ``rejected``, whose recordings follow in ``audios``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import parse_line, read_json, read_lines
from smoltolk.common.rejection import Rejected, do_each
from smoltolk.training.tuning.messages import (
    Message,
    Sounds,
    listed_messages,
    read_answer,
    read_messages,
    with_audios,
    wrong,
)

_OTHERS = ("images", "videos", "image", "video", "tools")
_NOTHING: tuple[Any, ...] = (None, "", "[]", [], {})  # of tools, as data sets with and without them have it


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
    if not path.is_file():
        raise NotFoundError("dialogues are read from a file", f"no file {path}", "check the path")
    if path.suffix == ".json":
        try:
            value = read_json(path)
        except InputError as error:  # what we write ourselves may be deleted, this may not
            raise InputError(error.rule, error.found, "correct the file") from error
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
        raise wrong("a row is a JSON object", place, json.dumps(value)[:60])
    for name in _OTHERS:
        if value.get(name) not in _NOTHING:
            raise wrong("a model hears and reads", place, f"{name!r}", "leave such rows out")
    if value.get("label") is False:  # of KTO
        raise wrong("an answer that is learned is a good one", place, "'label' is false", "leave the row out")
    return value


def _sounds(row: Mapping[str, Any], place: str, folder: Path) -> Sounds:
    return Sounds(next((row[name] for name in ("audios", "audio") if row.get(name) is not None), None), place, folder)


def _dialogue(row: dict[str, Any], place: str, folder: Path) -> Dialogue:
    sounds = _sounds(row, place, folder)
    messages = read_messages(with_audios(listed_messages(row, place), [], sounds), place, sounds)
    sounds.check_used()
    if not messages or not messages[-1].is_answer:
        raise wrong("a row to learn from ends with an answer", place, "a question", "add a message of the assistant")
    if not any(message.is_answer and message.is_learned for message in messages):
        raise wrong("a row has an answer to learn", place, "'loss' is false for each", "leave the row out")
    return Dialogue(place, messages)


def _preference(row: dict[str, Any], place: str, folder: Path) -> Dialogue:
    sounds = _sounds(row, place, folder)
    both = [row.get(name) for name in ("chosen", "rejected")] if "chosen" in row else []
    messages = read_messages(with_audios(listed_messages(row, place), both, sounds), place, sounds)
    if both:
        better, worse = (
            read_answer(one, place, sounds, name) for one, name in zip(both, ("chosen", "rejected"), strict=True)
        )
        sounds.check_used()
        messages, rejected = (*messages, better), (*messages, worse)
    else:
        sounds.check_used()
        rejected = _rejected(row, messages, place, folder)
    for one in (messages, rejected):
        if not one or not one[-1].is_answer:
            raise wrong("both dialogues of a preference end with an answer", place, "a question", "add the answer")
    if messages[:-1] != rejected[:-1] or len(messages) < 2:
        fix = "ask both the same"
        raise wrong("what is preferred are two answers to one question", place, "different questions, or none", fix)
    if messages[-1].parts == rejected[-1].parts:
        raise wrong("two answers that are compared differ", place, "the same answer twice", "leave the row out")
    return Dialogue(place, messages, rejected)


def _rejected(row: dict[str, Any], messages: tuple[Message, ...], place: str, folder: Path) -> tuple[Message, ...]:
    """The dialogue with the worse answer, of rows as ms-swift has them."""
    given = row.get("rejected_audios")
    if row.get("rejected_messages") is not None:
        # Without recordings of its own it hears those of the better one, as far as it goes.
        sounds = _sounds(row, place, folder) if given is None else Sounds(given, place, folder)
        system: dict[str, Any] = {name: row[name] for name in ("system", "system_prompt") if name in row}
        listed = listed_messages({"messages": row["rejected_messages"], **system}, place)
        rejected = read_messages(with_audios(listed, [], sounds), place, sounds)
        if given is not None:
            sounds.check_used()
        return rejected
    if row.get("rejected_response") is not None:
        sounds = Sounds(given, place, folder)
        worse = read_answer(row["rejected_response"], place, sounds, "rejected_response")
        sounds.check_used()
        return (*messages[:-1], worse)
    fix = "give rejected_response, rejected_messages, or chosen and rejected"
    raise wrong("a preference has a worse answer too", place, ", ".join(row), fix)
