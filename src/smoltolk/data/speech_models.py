"""A vocoder of one's own, from a corpus: which utterances it learns from, and how good it is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import generator
from smoltolk.data.corpora import read_corpus
from smoltolk.data.utterances import Utterance
from smoltolk.speech.audio import SAMPLE_RATE, load
from smoltolk.speech.recognition import ErrorRate, error_rate, transcribe_all
from smoltolk.speech.units import UnitTokenizer
from smoltolk.speech.vocoder import Vocoder, fit_vocoder

_HELD_OUT = 0.1  # share of the utterances on which quality is measured
_MOST_HELD_OUT = 40


@dataclass(frozen=True, slots=True)
class FittedVocoder:
    """A vocoder, the speaker it sounds like, and what a judge hears of held-out utterances.

    Attributes:
        errors: word error rates: ``natural`` recordings, their spectrograms inverted (``copy``), and the vocoder
            speaking their ``units``; empty where nothing was judged.
    """

    vocoder: Vocoder
    speaker: str
    num_utterances: int
    errors: dict[str, ErrorRate]


def speakers_of(corpus: Path | str) -> dict[str, float]:
    """Seconds of recordings by each speaker, the most first."""
    seconds: dict[str, float] = defaultdict(float)
    for one in read_corpus(corpus):
        if one.audio is not None:
            seconds[one.speaker] += one.seconds
    return dict(sorted(seconds.items(), key=lambda item: (-item[1], item[0])))


def fit_corpus_vocoder(
    corpus: Path | str,
    tokenizer: UnitTokenizer,
    *,
    speaker: str | None = None,
    steps: int,
    most: int,
    judge: bool = True,
    seed: int = 0,
    progress: Bar | None = None,
) -> FittedVocoder:
    """Train a vocoder on one speaker of a corpus.

    Args:
        corpus: a corpus directory.
        tokenizer: of the units it is to speak.
        speaker: default: who speaks longest.
        steps: of training.
        most: utterances to learn from.
        judge: let the offline judge listen to held-out utterances.
        seed: of the choice of utterances, of weights and crops.
        progress: advanced by one per step.

    Raises:
        NotFoundError: no corpus, or a part of it is missing.
        InputError: no such speaker, or fewer than two utterances.
        MissingExtraError: ``judge`` is asked for and not installed.
    """
    seconds = speakers_of(corpus)
    chosen = next(iter(seconds), "") if speaker is None else speaker
    usable = [one for one in read_corpus(corpus) if one.speaker == chosen and one.audio is not None]
    if len(usable) < 2:
        raise InputError(
            "a vocoder needs two utterances of its speaker at least, better two hundred",
            f"{len(usable)} of {chosen!r}; there are {', '.join(list(seconds)[:5]) or 'none'}",
            "name another speaker",
        )
    held_out, training = split_held_out(usable, most, seed)
    waveforms = [waveform_of(one, tokenizer.sample_rate) for one in training]
    vocoder = fit_vocoder(waveforms, tokenizer.encode(waveforms), tokenizer, steps=steps, seed=seed, progress=progress)
    texts = [one.text for one in usable if one.text]
    judged = [one for one in held_out if one.text] if judge else []
    errors = judge_vocoder(vocoder, tokenizer, judged, texts) if judged else {}
    return FittedVocoder(vocoder, chosen, len(training), errors)


def judge_vocoder(
    vocoder: Vocoder,
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
