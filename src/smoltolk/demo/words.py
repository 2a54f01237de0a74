"""The words of what was said, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.demo.segments import Said
from smoltolk.inference.speech_text import SpeechText
from smoltolk.speech.alignment.aligners import Aligner, aligner_named
from smoltolk.speech.audio import SAMPLE_RATE, resample
from smoltolk.speech.pauses import LEVEL_RATE, quiet_frames

UNSURE = 0.5  # below it a word may be another one
_PAUSE_SECONDS, _PIECE_SECONDS = 0.2, 0.7


@dataclass(frozen=True, slots=True)
class Word:
    """A word on the time line of its recording.

    Attributes:
        text: as the model writes it.
        start, stop: seconds.
        confidence: 0 to 1, how sure the aligner is that it is said there; 0: several words, which it could not place.
    """

    text: str
    start: float
    stop: float
    confidence: float


def words_of(talker: SpeechText, said: Said, aligner: Callable[[], Aligner]) -> tuple[list[Word], str]:
    """What the model hears in a recording, sentence by sentence, placed by an aligner.

    Args:
        talker: writes it down; recognition must have been among its tasks.
        said: the recording; models learn to write down single sentences, so it is cut at its pauses.
        aligner: makes one when it is needed.

    Returns:
        The words, and a line that says what they are, or why some are missing.
    """
    waveform = resample(said.waveform, said.rate, SAMPLE_RATE)
    pieces = cut_at_pauses(waveform)
    words: list[Word] = []
    texts: list[str] = []
    why = ""
    try:
        heard = talker.recognize([(waveform[first:last], SAMPLE_RATE) for first, last in pieces])
        for (first, last), written in zip(pieces, heard, strict=True):
            text = (written.text or "").strip()
            if not written.ended or not text:
                why = why or "the model does not write down all that it hears"
                continue
            texts.append(text)
            try:
                found = aligner().align(waveform[first:last], text, SAMPLE_RATE)
            except InputError as error:  # it is shown over the whole piece
                why = why or f"not all words are placed: {error.rule}"
                words.append(Word(text, first / SAMPLE_RATE, last / SAMPLE_RATE, 0.0))
                continue
            at = first / SAMPLE_RATE
            words += [
                Word(one.text, at + one.start, at + one.end, float(sure))
                for one, sure in zip(found.words, found.confidences, strict=True)
                if one.end > one.start
            ]
    except (InputError, MissingExtraError) as error:
        why = f"no words placed: {error.rule}; {error.fix}"
    told = f"the model hears “{' '.join(texts)}”" if texts else ""
    return words, "; ".join(filter(None, (told, why)))


def cut_at_pauses(waveform: np.ndarray) -> list[tuple[int, int]]:
    """Pieces of a recording, first sample and the one behind the last; they tile it.

    Args:
        waveform: float32 [samples], 16 kHz.
    """
    size = SAMPLE_RATE // LEVEL_RATE
    quiet = quiet_frames(waveform)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
    cuts = [0]
    for first, last in edges.reshape(-1, 2):
        middle = int(first + last) // 2 * size
        inside = first > 0 and last < len(quiet) and (last - first) / LEVEL_RATE >= _PAUSE_SECONDS
        room = min(middle - cuts[-1], len(waveform) - middle)
        if inside and room >= _PIECE_SECONDS * SAMPLE_RATE:
            cuts.append(middle)
    return list(pairwise([*cuts, len(waveform)]))


@cache
def english_aligner() -> Aligner:
    """The aligner of English; made once."""
    return aligner_named("pocketsphinx")
