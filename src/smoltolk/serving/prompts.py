"""Text and recordings of requests as prompts of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.serving.engine import Engine

Content = str | np.ndarray  # a text, or units


def check_text(engine: Engine, text: str) -> str:
    """A text that is not longer than the limit.

    Raises:
        InputError: it is.
    """
    most = engine.limits.text_characters
    if len(text) > most:
        raise InputError(f"a text has {most:,} characters at most", f"{len(text):,}", "send less")
    return text


def prompt_of(engine: Engine, contents: Sequence[Content], *, in_speech: bool | None) -> np.ndarray:
    """Ids of texts and units in turns, int64 [n]; neighbours of one modality become one.

    Args:
        engine: of whose model.
        contents: those that are empty are left out.
        in_speech: modality of what comes behind them; None: as they end.

    Raises:
        InputError: nothing in them, or units that the model does not have.
    """
    held = [one for one in contents if len(one)]
    if not held:
        raise InputError("a prompt has a word or a recording at least", "nothing", "send some")
    to = None if in_speech is None else "speech" if in_speech else "text"
    return engine.processor.document(held, continue_in=to).input_ids
