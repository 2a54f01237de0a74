"""One recording and what is said in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import SmolTolkError
from smoltolk.speech.audio import measure
from smoltolk.speech.segments import Segment

# Times are kept to a tenth of a millisecond; the end of the last word may pass the recording's by rounding.
_DECIMALS = 4
SLACK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and what is said in it.

    Attributes:
        id: unique in its corpus; letters and digits of any script, ``_ . - +``.
        audio: the recording, if there is one.
        seconds: its length.
        words, phones: in order, times in seconds from its start; empty if unknown.
        speaker, language, source: names, e.g. of a voice, ``"en"``, of a data set.
        confidences: for each word, 0 to 1, how sure it is that it is said there (NaN where a word has no sound); empty
            if unknown.
        origin: what it was made of, as it was called there: a path under a folder, say. Empty: nothing else.
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
    confidences: tuple[float, ...] = ()
    origin: str = ""


def problem_with(utterance: Utterance) -> str | None:
    """The first rule that an utterance breaks, None if it keeps them all; opens the head of its recording."""
    return next(problems_with(utterance), None)


def problems_with(utterance: Utterance) -> Iterator[str]:
    """Every rule that an utterance breaks; opens the head of its recording."""
    if not utterance.text.strip():
        yield "its text is empty"
    if not math.isfinite(utterance.seconds) or utterance.seconds <= 0:
        yield f"a length of {utterance.seconds} s"
    for name, segments in (("word", utterance.words), ("phone", utterance.phones)):
        problem = problem_with_times(segments, utterance.seconds, name)
        if problem is not None:
            yield problem
    if utterance.confidences and len(utterance.confidences) != len(utterance.words):
        yield f"{len(utterance.words)} words with {len(utterance.confidences)} confidences"
    if utterance.audio is None:
        return
    if not utterance.audio.is_file():
        yield f"its recording is missing, no file {utterance.audio}"
        return
    try:
        seconds = measure(utterance.audio).seconds
        if abs(seconds - utterance.seconds) > SLACK_SECONDS:  # a head may err
            seconds = measure(utterance.audio, decode=True).seconds
    except (SmolTolkError, OSError) as error:
        yield f"its recording cannot be read ({error})"
        return
    if abs(seconds - utterance.seconds) > SLACK_SECONDS:
        yield f"{utterance.seconds:.3f} s, but its recording has {seconds:.3f} s"


def problem_with_times(segments: Sequence[Segment], seconds: float, name: str = "word") -> str | None:
    """Why these cannot be words, one after the other, in a recording of this length; None if they can."""
    last = 0.0
    for segment in segments:
        place = f"the {name} {segment.text!r} lies at {segment.start:.6g} to {segment.end:.6g} s"
        if not segment.start <= segment.end:  # NaN too
            return f"{place}, which runs backwards"
        if segment.start < -SLACK_SECONDS or segment.end > seconds + SLACK_SECONDS:
            return f"{place}, outside the recording ({seconds:.6g} s)"
        if segment.start < last - SLACK_SECONDS:
            return f"{place}, before the end of the one before it ({last:.6g} s)"
        last = max(last, segment.end)
    return None


def to_row(utterance: Utterance, directory: Path) -> dict[str, Any]:
    """A JSON object; its recording is named relative to ``directory``."""
    row = {name: getattr(utterance, name) for name in ("id", "text", "speaker", "language", "source")}
    row["audio"] = None if utterance.audio is None else str(utterance.audio.relative_to(directory))
    if utterance.origin:
        row["origin"] = utterance.origin
    row["seconds"] = utterance.seconds
    for name in ("words", "phones"):
        row[name] = [[s.text, round(s.start, _DECIMALS), round(s.end, _DECIMALS)] for s in getattr(utterance, name)]
    for word, sure in zip(row["words"], utterance.confidences, strict=False):
        word.append(round(sure, _DECIMALS) if math.isfinite(sure) else None)
    return row


def from_row(row: dict[str, Any], directory: Path) -> Utterance:
    """The inverse of :func:`to_row`; KeyError, TypeError or ValueError if ``row`` is no utterance."""
    confidences = [math.nan if word[3] is None else float(word[3]) for word in row["words"] if len(word) > 3]
    return Utterance(
        id=str(row["id"]),
        text=str(row["text"]),
        audio=None if row["audio"] is None else directory / row["audio"],
        seconds=float(row["seconds"]),
        words=tuple(Segment(str(text), float(start), float(end)) for text, start, end, *_ in row["words"]),
        phones=tuple(Segment(str(text), float(start), float(end)) for text, start, end in row["phones"]),
        speaker=str(row["speaker"]),
        language=str(row["language"]),
        source=str(row["source"]),
        confidences=tuple(confidences),
        origin=str(row.get("origin", "")),
    )
