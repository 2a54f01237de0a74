"""Parts of prompts on the wire: text, recordings, units, and earlier answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from smoltolk.serving.engine import Engine
from smoltolk.serving.prompts import Content, check_text
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
    """Reads the parts of one request; its recordings together have a limit.

    Args:
        engine: whose prompts they are.
        state: of the app.
    """

    def __init__(self, engine: Engine, state: State):
        self._engine, self._state = engine, state
        self._left = state.limits.audio_seconds

    async def read(self, parts: Sequence[TextPart | AudioPart | UnitsPart]) -> list[Content]:
        """The content of each part that is not empty.

        Raises:
            InputError, RefusedError, BusyError: a part that is none, too long, or nobody can hear it.
        """
        contents: list[Content] = []
        for part in parts:
            if isinstance(part, TextPart):
                contents.append(check_text(self._engine, part.text))
            elif isinstance(part, UnitsPart):
                contents.append(np.array(part.units, np.int64))
            else:
                contents.append(await self._hear(part.input_audio))
        return [content for content in contents if len(content)]

    async def _hear(self, recording: Recording) -> np.ndarray:
        units, waveform = await self._engine.hear(recording.content(), max(0.0, self._left))
        seconds = len(waveform) / self._engine.units.sample_rate
        self._left -= seconds
        self._state.metrics.heard.inc(seconds)
        return units
