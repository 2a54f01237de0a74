"""One model's answer to a prompt, step by step as the page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, SmolTolkError
from smoltolk.demo.drawing import Drawn, draw
from smoltolk.demo.inside import lens, places_of, selector_weights
from smoltolk.demo.segments import Said, Segment, asked_of, columns_of, document_of, starts_of
from smoltolk.demo.words import Word, english_aligner, words_of
from smoltolk.inference.sampling import Sampling
from smoltolk.inference.speakers import durations_of
from smoltolk.inference.speech_text import SpeechText


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an answer is made.

    Attributes:
        max_tokens: of the written one.
        max_seconds: of the spoken one.
        temperature: of both; 0: the most likely id at every step.
        seed: of both.
        writes, speaks: which are made.
    """

    max_tokens: int = 40
    max_seconds: float = 6.0
    temperature: float = 0.8
    seed: int = 0
    writes: bool = True
    speaks: bool = True

    @property
    def sampling(self) -> Sampling | None:
        """As ``generate`` takes it."""
        return Sampling(temperature=self.temperature) if self.temperature > 0 else None


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows of one model; None: as before.

    Attributes:
        text: the written answer so far.
        sound: new samples of the spoken one: (Hz, float32 [samples]).
        whole: all of it.
        drawing: HTML of the time line.
        told: a line about where it is, or what went wrong.
    """

    text: str | None = None
    sound: tuple[int, np.ndarray] | None = None
    whole: tuple[int, np.ndarray] | None = None
    drawing: str | None = None
    told: str | None = None


def answer(talker: SpeechText, prompt: Sequence[Segment], wishes: Wishes) -> Iterator[View]:
    """The written answer, the spoken one, and what happened inside.

    Args:
        talker: the model.
        prompt: text, a recording, or both.
        wishes: what is wanted.

    Yields:
        What is new, as soon as it is there. What the model cannot do is told in its place, and the rest goes on.
    """
    told: list[str] = []  # what stays when all is done
    segments = list(prompt)
    if wishes.writes:
        yield View(told="writing …")
        yield from _told(_write(talker, prompt, wishes), told)
    if wishes.speaks:
        yield View(told="speaking …")
        for view in _told(_speak(talker, prompt, wishes), told):
            if isinstance(view, Said):
                segments.append(view)
            else:
                yield view
    yield View(told="looking inside …")
    yield View(drawing=picture(talker, segments), told=" ".join(told))


def _told(steps: Iterator[Any], told: list[str]) -> Iterator[Any]:
    """Steps; lines of theirs, and the words of an error, are kept."""
    try:
        for step in steps:
            if isinstance(step, View) and step.told:
                told.append(step.told)
            yield step
    except SmolTolkError as error:
        told.append(". ".join(part[:1].upper() + part[1:] for part in (error.rule, error.found, error.fix)) + ".")
        yield View(told=told[-1])


def _write(talker: SpeechText, prompt: Sequence[Segment], wishes: Wishes) -> Iterator[View]:
    text = ""
    asked = asked_of(talker, prompt, in_speech=False)
    pieces = talker.generate(
        asked, to="text", max_new=wishes.max_tokens, sampling=wishes.sampling, seed=wishes.seed, stream=True
    )
    for piece in pieces:
        text += piece.text or ""
        cut = " …" if piece.ends and not piece.ended else ""
        yield View(text=text.strip() + cut)


def _speak(talker: SpeechText, prompt: Sequence[Segment], wishes: Wishes) -> Iterator[View | Said]:
    """Views, and at the end what was said."""
    units: list[np.ndarray] = []
    sounds: list[np.ndarray] = []
    pieces = talker.generate(
        asked_of(talker, prompt, in_speech=True),
        to="speech",
        max_seconds=wishes.max_seconds,
        sampling=wishes.sampling,
        seed=wishes.seed,
        stream=True,
    )
    first = None
    for piece in pieces:
        if piece.units is not None and len(piece.units):
            units.append(piece.units)
        if piece.waveform is not None and len(piece.waveform):
            first = piece.seconds if first is None else first
            sounds.append(piece.waveform)
            yield View(sound=(piece.rate, piece.waveform))
    if not sounds or not units:
        raise InputError("an answer aloud has a unit at least", "the model ended at once", "try another prompt or seed")
    waveform, made = np.concatenate(sounds), np.concatenate(units)
    yield View(whole=(talker.speaking_rate, waveform), told=f"First sound after {first:.2f} s.")
    yield said_by(talker, made, waveform)


def said_by(talker: SpeechText, units: np.ndarray, waveform: np.ndarray) -> Said:
    """What a model said, on the time line.

    Args:
        talker: the model.
        units: int64 [n], of several codebooks frames [n, Q].
        waveform: float32 [samples] at its speaking rate.
    """
    speaker = talker.vocoder
    if speaker is None:
        raise InputError("what speaks has a vocoder, or the codec of its units", "none", "make the bundle with one")
    frames = durations_of(units, speaker).astype(float)
    # Frames are whole hops of the vocoder; the sound is as long as it is.
    seconds = frames / frames.sum() * len(waveform) / talker.speaking_rate
    return Said(units, seconds, waveform, talker.speaking_rate, is_answer=True)


def picture(talker: SpeechText, segments: Sequence[Segment]) -> str:
    """The time line of a prompt and its answer, drawn.

    Args:
        talker: whose layers are looked at.
        segments: in their order.
    """
    document = document_of(talker, segments)
    columns = columns_of(talker, document, segments)
    starts = starts_of(segments, columns)
    words: list[Word] = []
    notes: list[str] = []
    for segment, start in zip(segments, starts, strict=True):
        if isinstance(segment, Said):
            found, note = words_of(talker, segment, english_aligner)
            words += [replace(word, start=word.start + start, stop=word.stop + start) for word in found]
            notes.append(note)
    selector = selector_weights(talker, document, columns)
    if selector is None:
        notes.append("no selector: this model reads one mixture of layers everywhere")
    places = places_of(columns, words)
    guesses = lens(talker, document, places)
    notes.append("pale words may be others")
    notes.append("head: what the text head makes of each layer at the end of a word; point at a cell to see more")
    note = "; ".join(dict.fromkeys(filter(None, notes)))
    return draw(Drawn(segments, starts, columns, words, selector, places, guesses), note[:1].upper() + note[1:])
