"""Parts of prompts on the wire: text, recordings, units, and earlier answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from smoltolk.common.errors import InputError
from smoltolk.serving.engine import Engine
from smoltolk.serving.prompts import Segment, text_segment
from smoltolk.serving.state import State
from smoltolk.serving.wire import Recording


class TextPart(BaseModel):
    """Something written."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class AudioPart(BaseModel):
    """Something recorded."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["input_audio"]
    input_audio: Recording


class UnitsPart(BaseModel):
    """Something said, as the model's units."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["units"]
    units: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=100_000)


Part = Annotated[TextPart | AudioPart | UnitsPart, Field(discriminator="type")]


class Reader:
    """Makes segments of the parts of one request; its recordings together have a limit.

    Args:
        engine: whose prompts they are.
        state: of the app.
    """

    def __init__(self, engine: Engine, state: State):
        self._engine, self._state = engine, state
        self._left = state.limits.audio_seconds

    async def read(self, parts: Sequence[TextPart | AudioPart | UnitsPart]) -> list[Segment]:
        """A segment of each part that is not empty.

        Raises:
            InputError, RefusedError, BusyError: a part that is none, too long, or nobody can hear it.
        """
        segments: list[Segment] = []
        for part in parts:
            if isinstance(part, TextPart):
                segments.append(text_segment(self._engine, part.text))
            elif isinstance(part, UnitsPart):
                units = np.array(part.units, np.int64)
                if units.max() >= self._engine.space.num_units:
                    raise InputError(
                        f"units are 0 .. {self._engine.space.num_units - 1}", f"{units.max()}", "send its units"
                    )
                segments.append((True, units))
            else:
                segments.append((True, await self._hear(part.input_audio)))
        return [segment for segment in segments if len(segment[1])]

    async def _hear(self, recording: Recording) -> np.ndarray:
        units, waveform = await self._engine.hear(recording.content(), max(0.0, self._left))
        seconds = len(waveform) / self._engine.units.sample_rate
        self._left -= seconds
        self._state.metrics.heard.inc(seconds)
        return units
