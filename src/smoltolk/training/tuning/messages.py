"""Messages of a dialogue in every form that people write them in: who says what, in texts and recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from smoltolk.common.errors import InputError, NotFoundError

AUDIO = "<audio>"
SYSTEM = "system"
_LISTS = ("messages", "conversations", "conversation")
# Whether a role is the model's.
_ROLES = {"user": False, "human": False, SYSTEM: False, "assistant": True, "gpt": True, "bot": True}
_QUESTIONS = [role for role, is_answer in _ROLES.items() if not is_answer]
_ROLE, _CONTENT = ("role", "from"), ("content", "value")
# What a part of a content has beside its kind, where it is a recording: of ms-swift, of transformers, of OpenAI.
_SOUND_KEYS = {"audio": ("audio", "path", "url"), "audio_url": ("audio_url",)}
_REMOTE = re.compile(r"(https?|s3|gs|hf|oss|data):")

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


class Sounds:
    """The recordings of a row, taken in their order.

    Args:
        listed: ``audios`` of a row: a list, a single one, or None.
        place: of the row, for messages.
        folder: that paths are relative to.

    Raises:
        InputError: no recordings.
    """

    def __init__(self, listed: Any, place: str, folder: Path):
        listed = [] if listed is None else listed if isinstance(listed, list) else [listed]
        found = [one.get("path") if isinstance(one, dict) else one for one in listed]  # of the hub's data sets
        names = [one for one in found if isinstance(one, str) and one]
        if len(names) < len(listed):
            raise wrong("audios are paths of recordings", place, repr(listed)[:60], 'write "audios": ["a.wav"]')
        self._listed, self._place, self._folder, self._taken = names, place, folder, 0

    def next(self, what: str) -> Path:
        """The recording that an ``<audio>`` stands for.

        Args:
            what: the message, for messages.

        Raises:
            InputError: there is none left.
            NotFoundError: no such file.
        """
        if self._taken == len(self._listed):
            found = f"{what}: {AUDIO} number {self._taken + 1}, {len(self._listed)} audios"
            raise wrong(f"every {AUDIO} stands for one of the row's audios", self._place, found, "add the recording")
        self._taken += 1
        return self.named(self._listed[self._taken - 1])

    def named(self, name: str) -> Path:
        """A recording by its path.

        Raises:
            NotFoundError: no such file.
        """
        if _REMOTE.match(name):
            found = f"{self._place}: {name[:60]}"
            raise NotFoundError("a recording is a file on this machine", found, "fetch it, and write its path")
        path = self._folder / (unquote(name.removeprefix("file://")) if name.startswith("file://") else name)
        if not path.is_file():
            raise NotFoundError("a recording is a file", f"{self._place}: no file {path}", "check the path")
        return path

    def check_used(self) -> None:
        """Whether every recording has its place.

        Raises:
            InputError: some have none.
        """
        if self._taken != len(self._listed):
            found = f"{self._taken} {AUDIO}, {len(self._listed)} audios"
            fix = f"write {AUDIO} where each is heard"
            raise wrong(f"every one of a row's audios has an {AUDIO}", self._place, found, fix)

    def __len__(self) -> int:
        """How many are listed."""
        return len(self._listed)


def listed_messages(row: Mapping[str, Any], place: str, names: tuple[str, ...] = _LISTS) -> list[Any]:
    """The messages of a row as they stand there, that of the system first; none of them is looked at.

    Args:
        row: with a list under one of the names; of ms-swift's ShareGPT each member holds both sides.
        place: of the row, for messages.
        names: of the list.

    Raises:
        InputError: no such list.
    """
    listed = next((row[name] for name in names if row.get(name) is not None), None)
    if not isinstance(listed, list) or not listed:
        found = f"a row of {', '.join(row)}" if row and listed is None else repr(listed)[:60]
        fix = 'write {"messages": [{"role": "user", "content": ...}, {"role": "assistant", "content": ...}]}'
        raise wrong("a row has a list of messages", place, found, fix)
    system = next((row[name] for name in ("system", "system_prompt") if row.get(name)), None)
    first = [] if system is None else [{"role": SYSTEM, "content": system}]
    return [*first, *(one for pair in listed for one in _sides(pair))]


def _sides(value: Any) -> list[Any]:
    """``{"human": ..., "assistant": ...}`` as two messages; anything else as it is."""
    if not isinstance(value, dict) or not value.keys().isdisjoint((*_ROLE, *_CONTENT)):
        return [value]
    sides = sorted((name for name in value if name in _ROLES), key=lambda name: _ROLES[name])
    return [{"role": name, "content": value[name]} for name in sides] or [value]


def with_audios(messages: list[Any], others: list[Any], sounds: Sounds) -> list[Any]:
    """Messages in which all recordings are heard: where nothing in a row says when, that is at the start of the first
    message which is not the system's, as ms-swift has it.

    Args:
        messages: see :func:`listed_messages`.
        others: more of the row, which may hear recordings.
        sounds: of the row.
    """
    first = next((place for place, one in enumerate(messages) if _get(one, _ROLE) != SYSTEM), None)
    if not len(sounds) or first is None or any(map(_hears, (*messages, *others))):
        return messages
    one = messages[first]
    if not isinstance(one, dict) or _get(one, _ROLE) not in _QUESTIONS:
        return messages
    content = _get(one, _CONTENT)
    heard: Any = AUDIO * len(sounds) + content if isinstance(content, str) else content
    if isinstance(content, list):
        heard = [{"type": "audio"}] * len(sounds) + content
    return [*messages[:first], {**one, "content": heard}, *messages[first + 1 :]]


def _hears(message: Any) -> bool:
    """Whether anything in a message, or in what stands for its content, is a recording."""
    content = _get(message, _CONTENT) if isinstance(message, dict) else message
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return any(_sound_keys(part) or _hears(part.get("text")) for part in parts)
    return isinstance(content, str) and AUDIO in content


def _sound_keys(part: dict[str, Any]) -> tuple[str, ...]:
    """Under which names a part of a content has its recording; none, where it is another kind of part."""
    kind = part.get("type")
    return _SOUND_KEYS.get(kind, ()) if isinstance(kind, str) else ()


def _get(message: Any, names: tuple[str, ...]) -> Any:
    found = [message[name] for name in names if name in message] if isinstance(message, dict) else []
    return found[0] if found else None


def read_messages(listed: list[Any], place: str, sounds: Sounds) -> tuple[Message, ...]:
    """Messages of a row, those of the system that say nothing left out.

    Args:
        listed: see :func:`listed_messages`.
        place: of the row, for messages.
        sounds: its recordings.

    Raises:
        InputError, NotFoundError: a role, a content or a recording that is none.
    """
    found = tuple(read_message(one, place, sounds, f"message {number}") for number, one in enumerate(listed, 1))
    return tuple(one for one in found if one is not None)


def read_answer(value: Any, place: str, sounds: Sounds, what: str) -> Message:
    """A message of the model by itself, which may be its content alone."""
    message = value if isinstance(value, dict) else {"role": "assistant", "content": value}
    answer = read_message(message, place, sounds, what)
    if answer is None or not answer.is_answer:
        raise wrong("an answer is a message of the assistant", place, f"{what}: {value!r}"[:80], "correct its role")
    return answer


def read_message(value: Any, place: str, sounds: Sounds, what: str) -> Message | None:
    """One message; None where the system says nothing.

    Args:
        value: as JSON has it.
        place, sounds: of the row.
        what: which message, for messages.
    """
    if not isinstance(value, dict):
        raise wrong("a message has a role and a content", place, f"{what}: {value!r}"[:80], "correct it")
    role, content = _get(value, _ROLE), _get(value, _CONTENT)
    if not isinstance(role, str) or role not in _ROLES:
        raise wrong(f"a role is one of {', '.join(_ROLES)}", place, f"{what}: {role!r}", "leave rows with tools out")
    if role == SYSTEM and content in (None, "", []):
        return None
    parts = tuple(_parts(content, place, sounds, what))
    if not parts:
        raise wrong("every message says something", place, f"{what} is empty", "write it, or leave it out")
    loss = value.get("loss")
    if loss is not None and loss not in (0, 1):
        raise wrong("the loss of a message is true or false", place, f"{what}: {loss!r}"[:80], "correct it")
    return Message(_ROLES[role], parts, loss is None or bool(loss))


def _parts(content: Any, place: str, sounds: Sounds, what: str) -> Iterator[Part]:
    if isinstance(content, list):
        for part in content:
            yield from _part(part, place, sounds, what)
    elif isinstance(content, str):
        for number, text in enumerate(content.split(AUDIO)):
            if number:
                yield sounds.next(what)
            if text.strip():
                yield text
    else:
        raise wrong("the content of a message is a text", place, f"{what}: {content!r}"[:80], "write a text")


def _part(part: Any, place: str, sounds: Sounds, what: str) -> Iterator[Part]:
    """What a member of a list of parts holds."""
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        yield from _parts(part["text"], place, sounds, what)
        return
    keys = _sound_keys(part) if isinstance(part, dict) else ()
    if keys:
        given = next((part[key] for key in keys if part.get(key) is not None), None)
        name = given.get("path", given.get("url")) if isinstance(given, dict) else given
        if given is None:
            yield sounds.next(what)
            return
        if isinstance(name, str) and name:
            yield sounds.named(name)
            return
    fix = 'write {"type": "text", "text": ...} or {"type": "audio", "audio": PATH}'
    raise wrong("a part of a message is a text or the path of a recording", place, f"{what}: {part!r}"[:80], fix)


def wrong(rule: str, place: str, found: str, fix: str = "correct the row") -> InputError:
    """What is wrong with a row.

    Args:
        rule, found, fix: as of :class:`~smoltolk.common.errors.SmolTolkError`.
        place: of the row.
    """
    return InputError(rule, f"{place}: {found}", fix)
