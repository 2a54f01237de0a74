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
class Errors:
    """Errors of one transcript, both sides normalised.

    Attributes:
        words, characters: of the reference.
        word_errors, character_errors: substitutions, deletions and insertions.
    """

    words: int
    word_errors: int
    characters: int
    character_errors: int


def errors_in(reference: str, hypothesis: str) -> Errors:
    """What jiwer counts in one transcript.

    Raises:
        InputError: a reference without words.
    """
    said, heard = normalise(reference), normalise(hypothesis)
    if not said:
        raise InputError("every reference must have a word", repr(reference), "leave this utterance out")
    words, characters = jiwer.process_words(said, heard), jiwer.process_characters(said, heard)
    return Errors(
        words=words.hits + words.substitutions + words.deletions,
        word_errors=words.substitutions + words.deletions + words.insertions,
        characters=characters.hits + characters.substitutions + characters.deletions,
        character_errors=characters.substitutions + characters.deletions + characters.insertions,
    )


def rate_interval(errors: np.ndarray, sizes: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% interval of ``errors.sum() / sizes.sum()``, by bootstrap over utterances.

    Args:
        errors, sizes: int [n], of each utterance.
        seed: of the bootstrap.
    """
    picks = generator(seed, "error_rate").integers(len(sizes), size=(_NUM_RESAMPLES, len(sizes)))
    low, high = np.quantile(errors[picks].sum(1) / sizes[picks].sum(1), [0.025, 0.975])
    return float(low), float(high)


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
    counts = [errors_in(said, heard) for said, heard in zip(references, hypotheses, strict=True)]
    errors = np.array([one.word_errors for one in counts])
    words = np.array([one.words for one in counts])
    low, high = rate_interval(errors, words, seed)
    return ErrorRate(
        wer=float(errors.sum() / words.sum()),
        cer=sum(one.character_errors for one in counts) / sum(one.characters for one in counts),
        low=low,
        high=high,
        num_words=int(words.sum()),
        num_utterances=len(counts),
    )
