"""What a visitor put in, as a model reads it."""

from __future__ import annotations

from pathlib import Path

from smoltolk.common.errors import InputError
from smoltolk.demo.limits import Limits
from smoltolk.demo.segments import Segment, listen
from smoltolk.inference.speech_text import SpeechText


def prompt_of(talker: SpeechText, path: str | None, text: str | None, limits: Limits) -> list[Segment]:
    """What was put in, as one model reads it: the text, then the recording.

    Raises:
        InputError: nothing, too much, or no sound.
    """
    written = (text or "").strip()
    if len(written) > limits.letters:
        raise InputError(f"a text has {limits.letters:,} letters at most", f"{len(written):,}", "write less")
    prompt: list[Segment] = [written] if written else []
    if path:
        prompt.append(listen(talker, Path(path), limits.seconds))
    if not prompt:
        raise InputError("there is something to go on from", "no recording and no text", "speak, upload or write")
    return prompt
