"""Text and recordings of requests as prompts of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.serving.engine import Engine

Segment = tuple[bool, np.ndarray]  # whether it is speech; text ids or units


def text_segment(engine: Engine, text: str) -> Segment:
    """A text as a segment.

    Raises:
        InputError: it is longer than the limit.
    """
    most = engine.limits.text_characters
    if len(text) > most:
        raise InputError(f"a text has {most:,} characters at most", f"{len(text):,}", "send less")
    return False, np.asarray(plain_ids(engine.tokenizer, text), np.int64)


def prompt_of(engine: Engine, segments: Sequence[Segment], *, speaks: bool | None) -> np.ndarray:
    """Ids of segments, int64 [n]; neighbours of one modality become one.

    Raises:
        InputError: nothing in them.
    """
    held = [one for one in segments if len(one[1])]
    if not held:
        raise InputError("a prompt has a word or a recording at least", "nothing", "send some")
    return mixed_prompt(engine.space, held, continue_in_speech=speaks).input_ids
