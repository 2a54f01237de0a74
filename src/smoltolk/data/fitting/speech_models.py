"""What fitting units and vocoders shares: held-out utterances, their recordings, and a judge of vocoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.audio import SAMPLE_RATE, load
from smoltolk.speech.recognition.recognisers import ErrorRate, error_rate, transcribe_all
from smoltolk.speech.units.tokenizer import UnitTokenizer

_HELD_OUT = 0.1  # share of the utterances on which quality is measured
_MOST_HELD_OUT = 40


class Speaker(Protocol):
    """What is judged of a vocoder."""

    def copy_synthesis(self, waveform: np.ndarray) -> np.ndarray:
        """A recording [samples] through the vocoder's spectrogram and back."""

    def synthesize_batch(self, units: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Units [n] each to waveforms [samples] each."""


def judge_vocoder(
    vocoder: Speaker,
    tokenizer: UnitTokenizer,
    utterances: Sequence[Utterance],
    texts: Sequence[str],
    seed: int = 0,
) -> dict[str, ErrorRate]:
    """Word error rates of utterances as recorded, through the vocoder's spectrogram, and from their units.

    Nothing but the way through the vocoder should differ: the utterances are best in its own voice.

    Args:
        vocoder: the one judged.
        tokenizer: of its units.
        utterances: with recordings and texts.
        texts: what the judge thinks may be said.
        seed: of the intervals.

    Returns:
        ``natural``, ``copy`` and ``units``.

    Raises:
        InputError: an utterance without a recording.
        MissingExtraError: the judge is not installed.
    """
    natural = [waveform_of(one, tokenizer.sample_rate) for one in utterances]
    heard = {
        "natural": natural,
        "copy": [vocoder.copy_synthesis(one) for one in natural],
        "units": vocoder.synthesize_batch([one.units for one in tokenizer.encode(natural)]),
    }
    said = [one.text for one in utterances]
    # One judge hears them all: its language model takes seconds to build.
    transcripts = transcribe_all([one for waveforms in heard.values() for one in waveforms], texts, workers=0)
    starts = range(0, len(transcripts), len(said))
    return {
        name: error_rate(said, transcripts[start : start + len(said)], seed)
        for name, start in zip(heard, starts, strict=True)
    }


def waveform_of(utterance: Utterance, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """The recording of an utterance.

    Args:
        utterance: one of a corpus.
        sample_rate: in Hz.

    Raises:
        InputError: it has none, or it cannot be read.
    """
    if utterance.audio is None:
        raise InputError("an utterance must have its recording", f"{utterance.id} has none", "leave it out")
    return load(utterance.audio, sample_rate)


def split_held_out(utterances: Sequence[Utterance], most: int, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Held-out and training utterances, drawn at random: neighbours may share a voice or a topic."""
    if most < 1:
        raise InputError("training needs an utterance at least", f"{most}", "allow more utterances")
    num_held_out = max(1, min(_MOST_HELD_OUT, math.floor(_HELD_OUT * min(len(utterances), most))))
    drawn = [utterances[k] for k in generator(seed, "held out").permutation(len(utterances))]
    return drawn[:num_held_out], drawn[num_held_out : num_held_out + most]
