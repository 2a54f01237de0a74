"""How far what was heard is from what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.speech.spelling.readings import spoken_words

_NUM_RESAMPLES = 1_000


def normalise(text: str) -> str:
    """The words that are said, in lower case and without punctuation; numbers spelled out."""
    return " ".join(spoken_words(text)).lower()


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """How far transcripts are from what was said.

    Args:
        wer: word errors per word of the references.
        cer: character errors per character of the references.
        low, high: 95% interval of the WER, by bootstrap over utterances.
        num_words, num_utterances: size of the references.
    """

    wer: float
    cer: float
    low: float
    high: float
    num_words: int
    num_utterances: int


def error_rate(references: Sequence[str], hypotheses: Sequence[str], seed: int = 0) -> ErrorRate:
    """Word and character error rate, both sides normalised alike.

    Args:
        references: what was said.
        hypotheses: what was heard, as many.
        seed: of the bootstrap.

    Raises:
        InputError: lists of different lengths, no utterance, or a reference without words.
    """
    if len(references) != len(hypotheses) or not references:
        raise InputError(
            "error rates need one transcript per reference",
            f"{len(references)} references, {len(hypotheses)} transcripts",
            "transcribe every utterance once",
        )
    said, heard = [normalise(text) for text in references], [normalise(text) for text in hypotheses]
    for reference, text in zip(said, references, strict=True):
        if not reference:
            raise InputError("every reference must have a word", repr(text), "leave this utterance out")
    per_utterance = [jiwer.process_words(one, other) for one, other in zip(said, heard, strict=True)]
    errors = np.array([counts.substitutions + counts.deletions + counts.insertions for counts in per_utterance])
    words = np.array([len(reference.split()) for reference in said])
    picks = generator(seed, "error_rate").integers(len(said), size=(_NUM_RESAMPLES, len(said)))
    low, high = np.quantile(errors[picks].sum(1) / words[picks].sum(1), [0.025, 0.975])
    return ErrorRate(
        wer=float(errors.sum() / words.sum()),
        cer=float(jiwer.cer(said, heard)),
        low=float(low),
        high=float(high),
        num_words=int(words.sum()),
        num_utterances=len(said),
    )
