"""A transcript with times: its words, its segments, and subtitles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligners import aligner_named

_MOST_LETTERS = 80  # of a subtitle
_ENDS = (".", "?", "!")
ALIGNED_LANGUAGES = ("en",)


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as written, and when it is said, in seconds."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TimedText:
    """A segment of a transcript, in seconds."""

    text: str
    start: float
    end: float


def check_aligned(language: str) -> None:
    """Refuse times of words where the aligner does not know the language.

    Raises:
        InputError: it does not.
    """
    if language not in ALIGNED_LANGUAGES:
        known = ", ".join(ALIGNED_LANGUAGES)
        raise InputError(f"times of words are known for {known}", f"language {language!r}", "ask for json or text")


def timed_words(waveform: np.ndarray, rate: int, text: str, language: str) -> list[TimedWord]:
    """When each word of a transcript is said.

    Args:
        waveform: float32 [samples] at ``rate``.
        text: of the recording; none: no words.
        language: ISO 639-1.

    Raises:
        InputError: a language that the aligner does not know, or a recording that cannot say the text.
        MissingExtraError: the aligner is not installed.
    """
    check_aligned(language)
    if not text.strip():
        return []
    aligned = aligner_named("pocketsphinx", language=language).align(waveform, text, rate)
    return [TimedWord(word.text, round(word.start, 3), round(word.end, 3)) for word in aligned.words]


def segments_of(words: Sequence[TimedWord]) -> list[TimedText]:
    """Words as segments: sentences, cut where they are too long for a subtitle."""
    segments: list[list[TimedWord]] = []
    for word in words:
        line = " ".join(one.word for one in segments[-1]) if segments else ""
        if not segments or line.endswith(_ENDS) or len(line) + 1 + len(word.word) > _MOST_LETTERS:
            segments.append([])
        segments[-1].append(word)
    return [TimedText(" ".join(one.word for one in line), line[0].start, line[-1].end) for line in segments]


def as_srt(segments: Sequence[TimedText]) -> str:
    """Segments as SubRip."""
    parts = (
        f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{_line(one.text)}\n"
        for number, one in enumerate(segments, 1)
    )
    return "\n".join(parts)


def as_vtt(segments: Sequence[TimedText]) -> str:
    """Segments as WebVTT."""
    escaped = (
        (one, _line(one.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")) for one in segments
    )
    parts = (f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{text}\n" for one, text in escaped)
    return "\n".join(["WEBVTT\n", *parts])


def _line(text: str) -> str:
    return " ".join(text.split())


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, rest = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{rest:03}"
