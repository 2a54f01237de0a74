"""Words with their times in JSON, as Whisper, WhisperX, whisper-timestamped and others write them.

::

    a list of words       {"text" or "word", "start", "end"}, seconds, or [text, start, end]
    {"words": ...}        the same
    a list of segments    {"text", "words": ...}
    {"segments": ...}     the same, with or without the "text" of all

A ``score``, ``probability`` or ``confidence`` of a word, or a fourth value, is kept. A segment without words, or a word
without a time (aligners leave out what they do not find), costs the times of all, not the text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.said import Said, said_of
from smoltolk.speech.segments import Segment

_SCORES = ("score", "probability", "confidence")
_OF_SEGMENTS = {"words", "tokens", "avg_logprob"}  # what Whisper and its kin write of a segment


@dataclass
class _Words:
    """What was read of a file so far."""

    timed: list[Segment] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)  # of all words and segments, also of those without times
    untimed: str = ""


def read_json_words(path: Path, text: str | None = None) -> Said:
    """Words with times from JSON, as the top of this page says.

    Args:
        path: the file.
        text: what is said; None: the ``text`` of the file, or its words.

    Raises:
        InputError: not JSON, none of these forms, or no words.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # broken, not UTF-8, numbers of 5,000 digits, nested without end
        raise InputError(f"{path.name} must be JSON in UTF-8", str(error), "write it again") from error
    own: Any = held.get("text") if isinstance(held, dict) else None
    rows, in_segments = held, False
    if isinstance(held, dict):
        in_segments = held.get("words") is None and held.get("segments") is not None
        rows = held.get("segments" if in_segments else "words")
        if rows is None and not isinstance(own, str):
            raise _strange(path, f"keys {sorted(held)}"[:100])
        rows = [] if rows is None else rows
    if not isinstance(rows, list):
        raise _strange(path, type(rows).__name__)
    found = _Words()
    if in_segments or any(isinstance(row, dict) and _OF_SEGMENTS & row.keys() for row in rows):
        _read_segments(found, rows, path)
    else:
        _read_words(found, rows, path)
    if text is None and isinstance(own, str):
        text = _plain(own)
    if text is None:
        text = " ".join(found.texts)
    return said_of(text, found.timed, found.scores, path.name, found.untimed)


def _read_segments(found: _Words, segments: Sequence[Any], path: Path) -> None:
    """Segments with their words; if none has any, they are a text and nothing is amiss."""
    if not all(isinstance(segment, dict) for segment in segments):
        raise _strange(path, "segments that are no objects")
    with_words = any(segment.get("words") for segment in segments)
    for segment in segments:
        text, words = segment.get("text"), segment.get("words") or []
        text = _plain(text) if isinstance(text, str) else ""
        if not isinstance(words, list):
            raise _strange(path, f"words that are a {type(words).__name__}")
        if words:
            _read_words(found, words, path)
        elif text:
            found.texts.append(text)
            if with_words:
                found.untimed = found.untimed or text


def _read_words(found: _Words, rows: Sequence[Any], path: Path) -> None:
    for row in rows:
        word, score = _word(row, path)
        if isinstance(word, str):
            found.texts.append(word)
            found.untimed = found.untimed or word
        elif word.text:
            found.texts.append(word.text)
            found.timed.append(word)
            if score is not None:
                found.scores.append(score)


def _word(row: Any, path: Path) -> tuple[Segment | str, float | None]:
    """A word, or only its text where it has no time; and its score."""
    if isinstance(row, list) and len(row) >= 3:
        row = {"text": row[0], "start": row[1], "end": row[2], "score": row[3] if len(row) > 3 else None}
    if not isinstance(row, dict):
        raise _strange(path, repr(row)[:100])
    name = row.get("text", row.get("word"))
    times: list[Any] = [row.get("start"), row.get("end")]
    if not isinstance(name, str) or not all(time is None or _is_number(time) for time in times):
        raise InputError(
            'every word needs its time: {"text": "dog", "start": 1.2, "end": 1.5} (seconds)',
            f"{path.name}: {json.dumps(row)[:100]}",
            "correct it, or take the file away so that the words are aligned",
        )
    name = _plain(name)
    score = next((row[key] for key in _SCORES if row.get(key) is not None), None)
    kept = float(score) if score is not None and _is_number(score) else None
    if None in times:
        return name, kept
    return Segment(name, float(times[0]), float(times[1])), kept


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**63  # larger ones are no float


def _plain(text: str) -> str:
    return " ".join(text.split())


def _strange(path: Path, found: str) -> InputError:
    return InputError(
        'words in JSON are a list of {"text", "start", "end"}, or {"words": ...}, or {"segments": [{"words": ...}]}',
        f"{path.name}: {found}",
        "write it in one of these forms",
    )
