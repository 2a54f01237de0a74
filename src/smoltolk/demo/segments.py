"""What stands on the page's time line: the prompt and the answer, each as text or as units with their sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.turns import Turn
from smoltolk.inference.dialogue import next_prompt
from smoltolk.inference.speech_text import SpeechText
from smoltolk.speech.audio import read_blocks

_TOKEN_SECONDS = 0.5  # text takes no time: a token gets the room of a short word


@dataclass(frozen=True, slots=True)
class Said:
    """A run of speech.

    Attributes:
        units: int64 [n], of several codebooks frames [n, Q].
        seconds: float64 [n], how long each lasts.
        waveform: float32 [samples].
        rate: of the waveform, Hz.
        is_answer: whether the model made it.
    """

    units: np.ndarray
    seconds: np.ndarray
    waveform: np.ndarray
    rate: int
    is_answer: bool = False


Segment = str | Said


@dataclass(frozen=True, slots=True)
class Column:
    """One id on the time line.

    Attributes:
        position: of the id in its document.
        label: the token as text, or the number of the unit.
        start, stop: seconds from the beginning of the time line.
        speech: whether it is a unit.
    """

    position: int
    label: str
    start: float
    stop: float
    speech: bool


def listen(talker: SpeechText, path: Path, most_seconds: float) -> Said:
    """A recording as units.

    Args:
        talker: whose units.
        path: of the recording.
        most_seconds: longest that is taken; no more than that is ever held in memory.

    Raises:
        InputError: not audio, longer, or shorter than a unit.
    """
    rate = talker.hearing_rate
    blocks: list[np.ndarray] = []
    held = 0
    for block in read_blocks(path, rate):
        blocks.append(block)
        held += len(block)
        if held > most_seconds * rate:
            raise InputError(
                f"this page takes recordings of {most_seconds:g} s at most",
                f"{path.name} is longer",
                "cut it, or start the page with a larger --seconds",
            )
    waveform = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if talker.units is None or not len(waveform):
        raise InputError("a recording has sound, and a model that hears has units", path.name, "give another one")
    (found,) = talker.units.encode([waveform])
    if not len(found.units):
        raise InputError("a recording has a unit at least", f"{len(waveform)} samples", "give a longer one")
    return Said(found.units, found.durations / talker.units.frame_rate, waveform, rate)


def asked_of(talker: SpeechText, prompt: Sequence[Segment], *, in_speech: bool) -> Document | list[Any]:
    """What an answer is asked for by, as ``generate`` takes it: a question to one tuned on dialogues, else all of it to
    go on from."""
    parts = [segment if isinstance(segment, str) else segment.units for segment in prompt]
    if not talker.settings.tuned:
        return parts
    question = Turn(False, tuple(map(talker.processor.segment, parts)))
    return next_prompt(talker.space, [question], in_speech=in_speech, tuned=True)


def document_of(talker: SpeechText, segments: Sequence[Segment]) -> Document:
    """The ids of prompt and answer, as the model reads them; speech that goes on is one run."""
    said = [one.units for one in segments if isinstance(one, Said) and one.is_answer]
    asked = asked_of(
        talker, [one for one in segments if isinstance(one, str) or not one.is_answer], in_speech=bool(said)
    )
    if isinstance(asked, Document):
        for units in said:
            asked.speech(units)
        return asked
    parts: list[Any] = []
    for content in [*asked, *said]:
        if parts and not isinstance(content, str) and not isinstance(parts[-1], str):
            parts[-1] = np.concatenate([parts[-1], content])
        else:
            parts.append(content)
    return talker.processor.document(parts)


def columns_of(talker: SpeechText, document: Document, segments: Sequence[Segment]) -> list[Column]:
    """Every token and unit of a document in time; what only steers (ends, switches) takes no room."""
    space, ids = talker.space, document.input_ids
    seconds = iter(np.concatenate([[], *(one.seconds for one in segments if isinstance(one, Said))]).tolist())
    columns: list[Column] = []
    at = 0.0
    control = {space.begin_prompt, space.end_prompt, space.switch, space.eos_text}
    for position, number in enumerate(ids.tolist()):
        is_unit = space.speech_offset <= number < space.speech_offset + space.num_units
        if is_unit:
            length, label = next(seconds, 0.0), str(number - space.speech_offset)
        elif number >= space.speech_offset or number in control:
            continue
        else:
            length, label = _TOKEN_SECONDS, talker.tokenizer.decode([number])
        columns.append(Column(position, label, at, at + length, is_unit))
        at += length
    return columns


def starts_of(segments: Sequence[Segment], columns: Sequence[Column]) -> list[float]:
    """When each segment begins, seconds."""
    starts, place = [], 0
    for segment in segments:
        if isinstance(segment, Said):
            starts.append(columns[place].start)
            place += len(segment.units)
        else:
            starts.append(columns[place].start if place < len(columns) else 0.0)
            while place < len(columns) and not columns[place].speech:
                place += 1
    return starts
