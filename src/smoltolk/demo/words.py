"""The words of what was said, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.demo.segments import Said
from smoltolk.inference.speech_text import SpeechText
from smoltolk.speech.alignment.aligners import Aligner, aligner_named

UNSURE = 0.5  # below it a word may be another one


@dataclass(frozen=True, slots=True)
class Word:
    """A word on the time line of its recording.

    Attributes:
        text: as the model writes it.
        start, stop: seconds.
        confidence: 0 to 1, how sure the aligner is that it is said there.
    """

    text: str
    start: float
    stop: float
    confidence: float


def words_of(talker: SpeechText, said: Said, aligner: Callable[[], Aligner]) -> tuple[list[Word], str]:
    """What the model hears in a recording, placed by an aligner.

    Args:
        talker: writes it down; recognition must have been among its tasks.
        said: the recording.
        aligner: makes one when it is needed.

    Returns:
        The words, and a line that says what they are, or why there are none.
    """
    try:
        written = talker.recognize((said.waveform, said.rate))
        if not written.ended or not (written.text or "").strip():
            return [], "no words: the model does not write down what it hears"
        text = written.text or ""
        found = aligner().align(said.waveform, text, said.rate)
    except (InputError, MissingExtraError) as error:
        return [], f"no words placed: {error.rule}; {error.fix}"
    words = [
        Word(one.text, one.start, one.end, float(sure))
        for one, sure in zip(found.words, found.confidences, strict=True)
        if one.end > one.start
    ]
    return words, f"the model hears “{text}”, pale where a word may be another one"


@cache
def english_aligner() -> Aligner:
    """The aligner of English; made once."""
    return aligner_named("pocketsphinx")
