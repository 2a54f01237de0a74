"""Judges of speech: recognisers by name, and the error rate of their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from smoltolk.speech.audio import SAMPLE_RATE
from smoltolk.speech.recognition.error_rate import ErrorRate, error_rate, normalise
from smoltolk.speech.recognition.sphinx_recognition import PocketsphinxJudge

__all__ = [
    "ErrorRate",
    "PocketsphinxJudge",
    "Recogniser",
    "error_rate",
    "normalise",
    "recogniser_named",
    "transcribe_all",
]


class Recogniser(Protocol):
    """Speech to text; what it hears in a waveform depends on that waveform alone.

    Attributes:
        name: what :func:`recogniser_named` knows it by.
    """

    name: str

    def transcribe_batch(self, waveforms: Sequence[np.ndarray], sample_rate: int = SAMPLE_RATE) -> list[str]:
        """Waveforms [samples] to what is heard in each; empty if nothing is."""


def recogniser_named(
    name: str,
    *,
    texts: Sequence[str] = (),
    workers: int | None = None,
    language: str = "en",
    device: str | None = None,
    batch_size: int = 8,
) -> Recogniser:
    """A recogniser.

    Args:
        name: ``"pocketsphinx"`` (English, no download), or hub id or directory of a speech recogniser of transformers:
            Whisper, a CTC model, or another one that its pipeline takes.
        texts: what may be said: the vocabulary of pocketsphinx, which needs it; others know a language.
        workers: processes of pocketsphinx; None means one per processor, 0 this one.
        language: of the speech, ISO 639-1; for multilingual models.
        device, batch_size: of the model.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
        NotFoundError, InputError: no such model, it does not recognise speech, or no texts for pocketsphinx.
    """
    if name == "pocketsphinx":
        return PocketsphinxJudge(texts, workers)
    from smoltolk.speech.recognition.model_recognition import ModelRecogniser  # loads transformers

    return ModelRecogniser(name, language, device, batch_size)


def transcribe_all(
    waveforms: Sequence[np.ndarray], texts: Sequence[str], workers: int | None = None, judge: str = "pocketsphinx"
) -> list[str]:
    """Transcribe waveforms of 16 kHz.

    Args:
        waveforms: each float [samples].
        texts: what may be said, for the language model; not paired with the waveforms.
        workers: processes; None means one per processor, 0 this process.
        judge: as for :func:`recogniser_named`.
    """
    return recogniser_named(judge, texts=texts, workers=workers).transcribe_batch(waveforms)
