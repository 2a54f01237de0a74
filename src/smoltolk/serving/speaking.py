"""What a model itself hears in what it said."""

from __future__ import annotations

import numpy as np

from smoltolk.data.rows.documents import recognition_prompt
from smoltolk.inference.running.rows import Ask
from smoltolk.serving.engine import Engine
from smoltolk.serving.writing import Writing


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
