"""What talking gives back: text or sound, with its units, its times, and whether it came to an end."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from smoltolk.speech.audio import save

_SHORTEST_SECONDS = 0.1  # that any word takes


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of the clock that an answer took; of a batch, those of the whole batch.

    Attributes:
        hearing: recordings to units.
        thinking: the model's own, prompt and all ids.
        speaking: units to sound.
    """

    hearing: float = 0.0
    thinking: float = 0.0
    speaking: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Something said. It plays in a notebook, and is a segment of a prompt like a recording.

    Attributes:
        waveform: float32 [samples], full scale at 1.
        rate: samples per second.
        units: int64 [n], from 0, deduplicated; of several codebooks frames [n, Q].
        ended: whether the model came to an end by itself; what did not was cut off, and is seldom worth much.
        timings: what it took.
    """

    waveform: np.ndarray
    rate: int
    units: np.ndarray
    ended: bool = True
    timings: Timings = field(default_factory=Timings)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.waveform) / self.rate

    @property
    def is_empty(self) -> bool:
        """Whether it is shorter than any word: the model came to its end (almost) at once."""
        return self.seconds < _SHORTEST_SECONDS

    def save(self, path: Path | str) -> None:
        """Write it; the suffix (wav, flac, ogg or mp3) chooses the format. Errors as of ``smoltolk.save_audio``."""
        save(path, self.waveform, self.rate)

    def __repr__(self) -> str:
        cut = ", nothing is said" if self.is_empty else "" if self.ended else ", cut off"
        return f"Speech({self.seconds:.2f} s at {self.rate:,} Hz, {len(self.units)} units{cut})"

    def _repr_html_(self) -> str:
        held = io.BytesIO()
        soundfile.write(held, self.waveform, self.rate, format="WAV")
        data = base64.b64encode(held.getvalue()).decode()
        return f'<audio controls src="data:audio/wav;base64,{data}"></audio><div>{html.escape(repr(self))}</div>'


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model makes of a prompt: a text or speech.

    Attributes:
        text: what it wrote, None if it spoke.
        speech: what it said, None if it wrote.
        ended: as of :class:`Speech`.
        timings: what it took.
        dropped: turns of a dialogue that were left out of the prompt, the oldest ones, for want of positions.
    """

    text: str | None = None
    speech: Speech | None = None
    ended: bool = True
    timings: Timings = field(default_factory=Timings)
    dropped: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written, or next to nothing said."""
        return not self.text if self.speech is None else self.speech.is_empty

    def _repr_html_(self) -> str:
        told = f"<div>{self.dropped} earlier turns left out</div>" if self.dropped else ""
        if self.speech is not None:
            return self.speech._repr_html_() + told
        return f"<div>{html.escape(self.text or '')}{'' if self.ended else ' …'}</div>{told}"


@dataclass(frozen=True, slots=True, eq=False)
class StreamPiece:
    """A little more of an answer while it is made.

    Attributes:
        text: more text; None where it is speech.
        units: int64 [n], the units that the model made since the last piece; None where it is text.
        waveform: float32 [samples], more sound; empty while the vocoder waits for more units; None where it is text.
        rate: of the sound, Hz; 0 where it is text.
        seconds: of the clock since the request.
        ends: whether it is the last piece, which may hold nothing.
        ended: with the last piece: whether the model came to an end by itself.
    """

    text: str | None = None
    units: np.ndarray | None = None
    waveform: np.ndarray | None = None
    rate: int = 0
    seconds: float = 0.0
    ends: bool = False
    ended: bool = False
