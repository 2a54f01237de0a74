"""What is said in a recording, read from the files beside it.

::

    NAME.txt        the text
    NAME.TextGrid   words with their times, in a tier of intervals
    NAME.json       words with their times: a list of {"text" or "word", "start", "end"}, the same under "words", or
                    "segments" that hold such words (what Whisper writes)

Times come from the TextGrid, else from the JSON. Where there is a text too, its tokens take the words' times. A suffix
may be in capitals.
"""

from __future__ import annotations

import itertools
import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.texts import check_encodable, may_hold_halves
from smoltolk.data.corpora.textgrid import read_textgrid, word_tier
from smoltolk.speech.segments import Segment

SUFFIXES = (".txt", ".TextGrid", ".json")


@dataclass(frozen=True, slots=True)
class Said:
    """What is said in a recording, as far as it is known.

    Attributes:
        text: as written, its words separated by single spaces; never empty.
        words: a segment for each word of the text, seconds from the start of the recording; empty if unknown.
        confidences: how sure each word is, 0 to 1; empty if unknown.
    """

    text: str
    words: tuple[Segment, ...] = ()
    confidences: tuple[float, ...] = ()


def files_beside(audio: Path) -> list[Path]:
    """Those of a recording's text files that exist, one of each kind."""
    found = []
    for suffix in SUFFIXES:
        # Tried one by one: to list the folder for every recording takes the square of their number.
        paths = [audio.with_suffix(name) for name in (suffix, suffix.lower(), suffix.upper(), suffix.title())]
        found += [path for path in paths if path.is_file()][:1]
    return found


def said_beside(audio: Path, tier: str | None = None) -> Said:
    """Read what is said in a recording.

    Args:
        audio: the recording.
        tier: of its TextGrid, the one with the words; None: find it.

    Raises:
        NotFoundError: no text, TextGrid or JSON beside it.
        InputError: a file that cannot be read, holds nothing, or whose words are not those of the text.
    """
    files = {path.suffix.lower(): path for path in files_beside(audio)}
    if not files:
        raise NotFoundError(
            "a recording must have its text beside it",
            f"no file {audio.with_suffix('.txt').name} (nor .TextGrid, nor .json)",
            "write down what is said",
        )
    text = read_text(files[".txt"]) if ".txt" in files else None
    if ".textgrid" in files:
        path = files[".textgrid"]
        words = word_tier(read_textgrid(path), path, tier).words()
        return said_of(text, words, (), path.name)
    if ".json" in files:
        return read_json_words(files[".json"], text)
    return said_of(text, (), (), files[".txt"].name)


def read_text(path: Path) -> str:
    """The text of a file, its white space made single spaces; may be empty.

    Raises:
        InputError: not UTF-8.
    """
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} must be text in UTF-8", str(error), "save it again as UTF-8") from error


def said_of(text: str | None, words: Sequence[Segment], confidences: Sequence[float], where: str) -> Said:
    """Text and words put together.

    Args:
        text: white space made single spaces; None: the words are the text.
        words: with times; empty if unknown.
        confidences: one for each word, or none; those that are not all from 0 to 1 mean something else, and are left
            out.
        where: the file, for the error.

    Raises:
        InputError: neither has a word, or they say different things.
    """
    if text is None:
        # A label of two tokens ("New York") is two words.
        text = " ".join(word.text for word in words)
    if not text.strip():
        raise InputError("a recording must have words in its text", f"{where} is empty", "write down what is said")
    if not words:
        return Said(text)
    known = len(confidences) == len(words) and all(0 <= sure <= 1 for sure in confidences)
    return Said(text, *times_of_tokens(text.split(), words, confidences if known else (), where))


def read_json_words(path: Path, text: str | None = None) -> Said:
    """Words with times from JSON, as the top of this page says.

    Args:
        path: the file.
        text: what is said; None: the ``text`` of the file, or its words.

    Raises:
        InputError: not JSON, none of these forms, a word without its time, or no words.
    """
    try:
        written = path.read_text(encoding="utf-8-sig")
        held = json.loads(written)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} must be JSON in UTF-8", str(error), "write it again") from error
    if may_hold_halves(written):
        check_encodable(json.dumps(held, ensure_ascii=False), path.name)
    rows: Any = held
    if isinstance(held, dict):
        segments = held.get("segments")
        rows = held.get("words")
        if rows is None and isinstance(segments, list):
            if not all(isinstance(part, dict) for part in segments):
                raise _strange(path, "segments that are no objects")
            if any("words" in part for part in segments):
                rows = list(itertools.chain(*(part.get("words") or [] for part in segments)))
            elif text is None and "text" not in held:  # sentences without words: only the text is known
                text = " ".join(" ".join(str(part.get("text", "")).split()) for part in segments).strip()
        if text is None and isinstance(held.get("text"), str):
            text = " ".join(held["text"].split())
        if rows is None and text is None:
            raise _strange(path, f"keys {sorted(held)}"[:100])
        rows = rows or []
    if not isinstance(rows, list):
        raise _strange(path, type(rows).__name__)
    found = [_json_word(row, path) for row in rows]
    found = [(word, score) for word, score in found if word.text]
    confidences = [score for _, score in found if score is not None]
    return said_of(text, [word for word, _ in found], confidences, path.name)


def _json_word(row: Any, path: Path) -> tuple[Segment, float | None]:
    if isinstance(row, list) and len(row) >= 3:
        row = {"text": row[0], "start": row[1], "end": row[2], "score": row[3] if len(row) > 3 else None}
    if not isinstance(row, dict):
        raise _strange(path, repr(row)[:100])
    name = row.get("text", row.get("word"))
    times: list[Any] = [row.get("start"), row.get("end")]
    if not isinstance(name, str) or not all(isinstance(t, int | float) and not isinstance(t, bool) for t in times):
        raise InputError(
            'every word needs its time: {"text": "dog", "start": 1.2, "end": 1.5} (seconds)',
            f"{path.name}: {json.dumps(row, ensure_ascii=False)[:100]}",
            "correct it, or take the file away so that the words are aligned",
        )
    score = next((row[key] for key in ("score", "probability", "confidence") if row.get(key) is not None), None)
    if not isinstance(score, int | float):
        score = None
    return Segment(" ".join(name.split()), float(times[0]), float(times[1])), None if score is None else float(score)


def times_of_tokens(
    tokens: Sequence[str], words: Sequence[Segment], confidences: Sequence[float], where: str
) -> tuple[tuple[Segment, ...], tuple[float, ...]]:
    """The times of words, given to the tokens of a text that says the same.

    Aligners drop capitals and commas, and part ``dog's`` into two. Tokens and words are laid on each other by their
    letters and digits; a token lasts from its first letter to its last, and letters share the time of their word. If
    letters differ (numbers spelled out), but there are as many words as tokens, they correspond one to one.

    Args:
        tokens: of the text, as written.
        words: in order, seconds.
        confidences: one for each word, or none.
        where: the file, for the error.

    Returns:
        a segment for each token (one without letters, a dash, has no length) and its confidence, if
            they are known.

    Raises:
        InputError: they do not say the same.
    """
    letters, spoken = [_letters(token) for token in tokens], [_letters(word.text) for word in words]
    if "".join(letters) != "".join(spoken):
        if len(tokens) == len(words):
            return tuple(Segment(t, w.start, w.end) for t, w in zip(tokens, words, strict=True)), tuple(confidences)
        raise _difference(letters, spoken, where)
    starts, ends, owners = [], [], []
    for index, (word, own) in enumerate(zip(words, spoken, strict=True)):
        step = (word.end - word.start) / max(1, len(own))
        starts += [word.start + k * step for k in range(len(own))]
        ends += [word.start + (k + 1) * step for k in range(len(own) - 1)] + ([word.end] if own else [])
        owners += [index] * len(own)
    timed, sure = [], []
    place, last = 0, words[0].start if words else 0.0
    for token, own in zip(tokens, letters, strict=True):
        stop = place + len(own)
        start = starts[place] if own else last
        last = ends[stop - 1] if own else last
        timed.append(Segment(token, start, last))
        if confidences:
            sure.append(sum(confidences[k] for k in owners[place:stop]) / len(own) if own else math.nan)
        place = stop
    return tuple(timed), tuple(sure)


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _difference(letters: Sequence[str], spoken: Sequence[str], where: str) -> InputError:
    place = next(
        (k for k, (a, b) in enumerate(zip(letters, spoken, strict=False)) if a != b), min(len(letters), len(spoken))
    )
    ours, theirs = (" ".join(part[place : place + 3]) or "its end" for part in (letters, spoken))
    return InputError(
        "the words of a recording must be those of its text",
        f"{where}: {theirs!r} where the text has {ours!r}",
        "correct one of them, or take the words away so that they are aligned",
    )


def _strange(path: Path, found: str) -> InputError:
    return InputError(
        'words in JSON are a list of {"text", "start", "end"}, or {"words": ...}, or {"segments": [{"words": ...}]}',
        f"{path.name}: {found}",
        "write it in one of these forms",
    )
