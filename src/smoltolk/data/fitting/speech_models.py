"""What fitting units and vocoders shares: held-out utterances, their recordings, and a judge of vocoders."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.rejection import Rejected, do_each, do_together
from smoltolk.common.seeds import generator
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.audio import SAMPLE_RATE, load, num_frames
from smoltolk.speech.recognition.recognisers import ErrorRate, Recogniser, error_rate, normalise, recogniser_named
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
    return judge_encoded(vocoder, encode_utterances(utterances, tokenizer), texts, seed, judge=judge)


def judge_encoded(
    vocoder: Speaker,
    encoded: Sequence[EncodedUtterance],
    texts: Sequence[str],
    seed: int = 0,
    *,
    judge: Recogniser | None = None,
) -> dict[str, ErrorRate]:
    """:func:`judge_vocoder` of utterances whose units are known."""
    natural, units = [one.sound for one in encoded], [one.units.units for one in encoded]
    heard = {
        "natural": natural,
        "copy": [vocoder.copy_synthesis(one) for one in natural],
        "units_true": vocoder.synthesize_batch(units, [one.units.durations for one in encoded]),
    }
    if vocoder.predicts_durations:
        heard["units"] = vocoder.synthesize_batch(units)
    said = [one.utterance.text for one in encoded]
    # One judge hears them all: a language model takes seconds to build.
    judge = recogniser_named("pocketsphinx", texts=texts, workers=0) if judge is None else judge
    transcripts = judge.transcribe_batch([one for waveforms in heard.values() for one in waveforms])
    starts = range(0, len(transcripts), len(said))
    return {
        name: error_rate(said, transcripts[start : start + len(said)], seed)
        for name, start in zip(heard, starts, strict=True)
    }


@dataclass(frozen=True, slots=True)
class EncodedUtterance:
    """An utterance with its recording at 16 kHz, the rate of the vocoders' spectrograms, and its units."""

    utterance: Utterance
    sound: np.ndarray
    units: Units


def encode_utterances(
    utterances: Sequence[Utterance], tokenizer: UnitTokenizer, rejected: list[Rejected] | None = None
) -> list[EncodedUtterance]:
    """Recordings and their units, taken at the tokenizer's rate.

    Args:
        utterances: with recordings.
        tokenizer: of the units.
        rejected: gets what cannot be read or encoded; None: the first of these is an error.

    Raises:
        InputError: an utterance without a recording, or one that cannot be used.
    """
    found: list[Rejected] = []
    same = tokenizer.sample_rate == SAMPLE_RATE
    heard = list(read_each(utterances, SAMPLE_RATE, found))

    def encode(some: Sequence[tuple[Utterance, np.ndarray]]) -> list[Units]:
        return tokenizer.encode([sound if same else waveform_of(one, tokenizer.sample_rate) for one, sound in some])

    encoded = do_together(heard, encode, lambda one: one[0].id, found)
    if rejected is None and found:
        raise InputError("every utterance must be usable", found[0].line(), "leave it out")
    if rejected is not None:
        rejected += found
    return [EncodedUtterance(one, sound, units) for (one, sound), units in encoded]


def read_each(
    utterances: Iterable[Utterance], sample_rate: int, rejected: list[Rejected]
) -> Iterator[tuple[Utterance, np.ndarray]]:
    """Utterances with their recordings; those that cannot be read are rejected."""
    return do_each(utterances, lambda one: waveform_of(one, sample_rate), lambda one: one.id, rejected)


def long_enough(utterances: Iterable[Utterance], frame_rate: float, rejected: list[Rejected]) -> list[Utterance]:
    """Those that last a frame, by what the corpus says; the others are rejected before anyone is held out.

    Args:
        utterances: of a corpus.
        frame_rate: in Hz.
        rejected: gets the others.
    """

    def check(one: Utterance) -> None:
        if num_frames(one.seconds, frame_rate) == 0:
            raise InputError(
                f"a recording must last one frame at least ({1 / frame_rate:g} s)",
                f"{one.seconds:g} s",
                "leave such short recordings out",
            )

    return [one for one, _ in do_each(utterances, check, lambda one: one.id, rejected)]


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


def split_held_out(
    utterances: Sequence[Utterance], most: int, seed: int, chosen: Collection[str] = ()
) -> tuple[list[Utterance], list[Utterance]]:
    """Held-out and training utterances, drawn at random: neighbours may share a voice or a topic.

    Args:
        utterances: to be split.
        most: to train on.
        seed: of the draw.
        chosen: ids of those to hold out, instead of drawing them.

    Raises:
        InputError: none left to train on, or none of those chosen is there.
    """
    if most < 1:
        raise InputError("training needs an utterance at least", f"{most}", "allow more utterances")
    if chosen:
        ids = frozenset(chosen)
        own, others = [[one for one in utterances if (one.id in ids) is held] for held in (True, False)]
        if not own or not others:
            raise InputError(
                "some utterances are held out, by their ids, and some are learnt from",
                f"{len(own)} and {len(others)} that can be used",
                "name a part of the ids of this corpus",
            )
        return own, _drawn(others, seed)[:most]
    num_held_out = max(1, min(_MOST_HELD_OUT, math.floor(_HELD_OUT * min(len(utterances), most))))
    drawn = _drawn(utterances, seed)
    return drawn[:num_held_out], drawn[num_held_out : num_held_out + most]


def _drawn(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    return [utterances[k] for k in generator(seed, "held out").permutation(len(utterances))]


def texts_for_judge(utterances: Iterable[Utterance], judged: Iterable[Utterance]) -> list[str]:
    """What a judge may know: the texts of all utterances but those judged, and of these only which words there are.

    Texts without words are left out.
    """
    judged = list(judged)
    hidden = {one.id for one in judged}
    known = [normalise(one.text) for one in utterances if one.id not in hidden]
    words = {word for one in judged for word in normalise(one.text).split()}
    return [*filter(None, known), *sorted(words)]
