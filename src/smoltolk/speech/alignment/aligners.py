"""Forced alignment: when each word of a known text is said, by the aligner of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligned_words import Alignment
from smoltolk.speech.alignment.sphinx_alignment import PocketsphinxAligner
from smoltolk.speech.audio import SAMPLE_RATE

__all__ = ["Aligner", "Alignment", "PocketsphinxAligner", "aligner_named"]


class Aligner(Protocol):
    """What finds the words of a text on its recording.

    Attributes:
        name: what :func:`aligner_named` knows it by.
        lowest_confidence: ``Alignment.confidence`` below which text and recording hardly belong together.
    """

    name: str
    lowest_confidence: float

    def align(self, waveform: np.ndarray, text: str, sample_rate: int = SAMPLE_RATE) -> Alignment:
        """Find every word of a text; InputError where the recording cannot say it."""

    def align_batch(
        self,
        waveforms: Sequence[np.ndarray],
        texts: Sequence[str],
        sample_rate: int = SAMPLE_RATE,
        report: Callable[[float], None] | None = None,
    ) -> list[Alignment | InputError]:
        """The same for many; what cannot be aligned gives its error. ``report`` is told now and then how many seconds
        of all of them are done."""


def aligner_named(
    name: str, *, phones: bool = False, language: str = "en", device: str | None = None, batch_size: int = 8
) -> Aligner:
    """An aligner; it can be sent to worker processes.

    Args:
        name: ``"pocketsphinx"`` (English, no download), or hub id or directory of a CTC model of transformers with
            its feature extractor and tokenizer (any language).
        phones: find the phones too, as phone units need them; pocketsphinx only.
        language: of the texts, ISO 639-1.
        device, batch_size: of the CTC model.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
        NotFoundError, InputError: no such model, or it cannot do what is wanted.
    """
    if name == "pocketsphinx":
        if language != "en":
            found = f"language {language!r}"
            raise InputError("pocketsphinx aligns English", found, "name a CTC model of this language")
        return PocketsphinxAligner(phones)
    if phones:
        fix = "align with pocketsphinx, or do without phones"
        raise InputError("a CTC model finds words, no phones", f"phones asked of {name!r}", fix)
    from smoltolk.speech.alignment.ctc_alignment import CtcAligner  # loads transformers

    return CtcAligner(name, language, device, batch_size)
