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
from smoltolk.speech.recognition.recognisers import ErrorRate, Recogniser, error_rate, recogniser_named
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer

_HELD_OUT = 0.1  # share of the utterances on which quality is measured
_MOST_HELD_OUT = 40


class Speaker(Protocol):
    """What is judged of a vocoder."""

    @property
    def predicts_durations(self) -> bool:
        """Whether it can speak units without being told how long they last."""

    def copy_synthesis(self, waveform: np.ndarray) -> np.ndarray:
        """A recording [samples] through the vocoder's spectrogram and back."""

    def synthesize_batch(
        self, units: Sequence[np.ndarray], durations: Sequence[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """Units [n] each to waveforms [samples] each."""


def judge_vocoder(
    vocoder: Speaker,
    tokenizer: UnitTokenizer,
    utterances: Sequence[Utterance],
    texts: Sequence[str],
    seed: int = 0,
    *,
    judge: Recogniser | None = None,
) -> dict[str, ErrorRate]:
    """Word error rates of utterances as recorded, through the vocoder's spectrogram, and from their units.

    Nothing but the way through the vocoder should differ: the utterances are best in its own voice.

    Args:
        vocoder: the one judged; it speaks at 16 kHz.
        tokenizer: of its units.
        utterances: with recordings and texts.
        texts: what the judge thinks may be said.
        seed: of the intervals.
        judge: who listens; default: pocketsphinx, which knows ``texts`` only. See ``recogniser_named``.

    Returns:
        ``natural``, ``copy``, ``units_true`` (units with the durations that they had) and, where the vocoder predicts
        durations, ``units`` (with its own).

    Raises:
        InputError: an utterance without a recording.
        MissingExtraError: the judge is not installed.
    """
    natural, spoken = sounds_and_units(utterances, tokenizer)
    units = [one.units for one in spoken]
    heard = {
        "natural": natural,
        "copy": [vocoder.copy_synthesis(one) for one in natural],
        "units_true": vocoder.synthesize_batch(units, [one.durations for one in spoken]),
    }
    if vocoder.predicts_durations:
        heard["units"] = vocoder.synthesize_batch(units)
    said = [one.text for one in utterances]
    # One judge hears them all: a language model takes seconds to build.
    judge = recogniser_named("pocketsphinx", texts=texts, workers=0) if judge is None else judge
    transcripts = judge.transcribe_batch([one for waveforms in heard.values() for one in waveforms])
    starts = range(0, len(transcripts), len(said))
    return {
        name: error_rate(said, transcripts[start : start + len(said)], seed)
        for name, start in zip(heard, starts, strict=True)
    }


def sounds_and_units(utterances: Sequence[Utterance], tokenizer: UnitTokenizer) -> tuple[list[np.ndarray], list[Units]]:
    """Recordings at 16 kHz, the rate of the vocoders' spectrograms, and their units, taken at the tokenizer's rate.

    Raises:
        InputError: an utterance without a recording.
    """
    sounds = [waveform_of(one) for one in utterances]
    same = tokenizer.sample_rate == SAMPLE_RATE
    return sounds, tokenizer.encode(sounds if same else [waveform_of(one, tokenizer.sample_rate) for one in utterances])


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
