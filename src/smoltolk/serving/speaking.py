"""How answers are spoken, and what a model itself hears in what it said."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from smoltolk.data.rows.documents import recognition_prompt
from smoltolk.inference.running.rows import Ask
from smoltolk.serving.engine import Engine
from smoltolk.serving.writing import Writing


class NamedVoice(BaseModel):
    """A voice, as some clients name it."""

    model_config = ConfigDict(extra="forbid")
    id: str


Voice = str | NamedVoice | None


def voice_name(voice: Voice) -> str | None:
    """A voice as the engine knows it."""
    return voice.id if isinstance(voice, NamedVoice) else voice


class ChatAudio(BaseModel):
    """How an answer is spoken."""

    model_config = ConfigDict(extra="forbid")
    voice: Voice = Field(None, description="One of the model's voices; default: its first.")
    format: Literal["wav", "mp3", "flac", "opus", "pcm16"] = "wav"

    @property
    def written_as(self) -> str:
        """Its format as one of :data:`~smoltolk.serving.sounds.FORMATS`."""
        return "pcm" if self.format == "pcm16" else self.format


async def transcript_of(engine: Engine, units: np.ndarray) -> str:
    """Units int64 [n] as text, by recognition; nothing where they and their text are too long for the model.

    Raises:
        BusyError: too many wait.
    """
    prompt = recognition_prompt(engine.space, units).input_ids
    longest, most = engine.config.max_position_embeddings, 2 * len(units) + 32
    room = most if longest is None else min(most, longest - len(prompt))
    if room < 1:
        return ""
    row = engine.start(Ask(prompt, frozenset([engine.space.eos_text]), room))
    made = await row.whole()
    writing = Writing(engine.tokenizer, engine.space, prompt)
    writing.whole(made.ids)
    return writing.text.strip()
