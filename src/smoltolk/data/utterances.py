"""One recording and what is said in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from smoltolk.speech.segments import Segment

# Times are kept to a tenth of a millisecond; the end of the last word may pass the recording's by rounding.
_DECIMALS = 4
_SLACK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and what is said in it.

    Attributes:
        id: unique in its corpus; letters, digits, ``_ . -``.
        audio: the recording, if there is one.
        seconds: its length.
        words, phones: in order, times in seconds from its start; empty if unknown.
        speaker, language, source: names, e.g. of a voice, ``"en"``, of a data set.
    """

    id: str
    text: str
    audio: Path | None
    seconds: float
    words: tuple[Segment, ...]
    phones: tuple[Segment, ...]
    speaker: str
    language: str
    source: str


def problem_with(utterance: Utterance) -> str | None:
    """The first rule that an utterance breaks, None if it keeps them all."""
    if not math.isfinite(utterance.seconds) or utterance.seconds <= 0:
        return f"a length of {utterance.seconds} s"
    for name, segments in (("word", utterance.words), ("phone", utterance.phones)):
        last = 0.0
        for segment in segments:
            within = last - _SLACK_SECONDS <= segment.start <= segment.end <= utterance.seconds + _SLACK_SECONDS
            if not within:
                return f"the {name} {segment.text!r} lies at {segment.start} to {segment.end} s"
            last = segment.end
    if utterance.audio is None:
        return None
    try:
        head = soundfile.info(str(utterance.audio))
    except soundfile.SoundFileError as error:
        return f"its recording cannot be read ({error})"
    if abs(head.frames / head.samplerate - utterance.seconds) > _SLACK_SECONDS:
        return f"{utterance.seconds:.3f} s, but its recording has {head.frames / head.samplerate:.3f} s"
    return None


def to_row(utterance: Utterance, directory: Path) -> dict[str, Any]:
    """A JSON object; its recording is named relative to ``directory``."""
    row = {name: getattr(utterance, name) for name in ("id", "text", "speaker", "language", "source")}
    row["audio"] = None if utterance.audio is None else str(utterance.audio.relative_to(directory))
    row["seconds"] = utterance.seconds
    for name in ("words", "phones"):
        row[name] = [[s.text, round(s.start, _DECIMALS), round(s.end, _DECIMALS)] for s in getattr(utterance, name)]
    return row


def from_row(row: dict[str, Any], directory: Path) -> Utterance:
    """The inverse of :func:`to_row`; KeyError, TypeError or ValueError if ``row`` is no utterance."""
    return Utterance(
        id=str(row["id"]),
        text=str(row["text"]),
        audio=None if row["audio"] is None else directory / row["audio"],
        seconds=float(row["seconds"]),
        words=tuple(Segment(str(text), float(start), float(end)) for text, start, end in row["words"]),
        phones=tuple(Segment(str(text), float(start), float(end)) for text, start, end in row["phones"]),
        speaker=str(row["speaker"]),
        language=str(row["language"]),
        source=str(row["source"]),
    )
