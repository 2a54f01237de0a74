"""A vocoder of one's own, from a corpus: whose voices it learns, and how well it is understood."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.rejection import Rejected, do_each
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.fitting.speech_models import (
    encode_utterances,
    judge_encoded,
    long_enough,
    read_each,
    split_held_out,
    texts_for_judge,
)
from smoltolk.data.shards.lookup import units_by_id
from smoltolk.speech.audio import SAMPLE_RATE
from smoltolk.speech.recognition.recognisers import ErrorRate, normalise, recogniser_named
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_training import fit_hifigan
from smoltolk.speech.vocoders.kinds import Vocoder, fit_vocoder
from smoltolk.speech.vocoders.training_loop import Keeping
from smoltolk.speech.vocoders.vocos_training import fit_vocos

ALL = "all"
# Steps of training unless told otherwise: about one and four minutes of a CPU, hours of a GPU.
DEFAULT_STEPS = {"griffinlim": 500, "vocos": 600, "hifigan": 20_000}
FEW_UTTERANCES = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be learnt.

    Attributes:
        kind: ``griffinlim``, ``vocos`` or ``hifigan``.
        speaker: a name; ``"all"``: every voice, which takes a HiFi-GAN; None: who speaks longest.
        steps: of training; None: :data:`DEFAULT_STEPS` of the kind.
        most: utterances to learn from; they are held in memory.
        size: of a HiFi-GAN, see :data:`smoltolk.speech.vocoders.hifigan_config.SIZES`.
        start: directory of a HiFi-GAN for the same units to begin with, e.g. a published one.
        device: where it is trained.
        precision: ``auto``, ``bf16`` or ``fp32``.
        seed: of the choice of utterances, of weights and crops.
        held_out: ids of utterances that are judged and not learnt from; empty: a tenth is drawn, 40 at most.
    """

    kind: str = "griffinlim"
    speaker: str | None = None
    steps: int | None = None
    most: int = 300
    size: str = "small"
    start: Path | None = None
    device: str = "cpu"
    precision: str = "auto"
    seed: int = 0
    held_out: tuple[str, ...] = ()

    @property
    def num_steps(self) -> int:
        """Of training; raises as :meth:`check_kind`."""
        self.check_kind()
        return DEFAULT_STEPS[self.kind] if self.steps is None else self.steps

    def check_kind(self) -> None:
        """Raise InputError if the kind is not known."""
        if self.kind not in DEFAULT_STEPS:
            raise InputError(f"a vocoder's kind must be {', '.join(DEFAULT_STEPS)}", f"{self.kind!r}", "choose one")


@dataclass(frozen=True, slots=True)
class FittedVocoder:
    """A vocoder, whom it sounds like, and what a judge hears of held-out utterances.

    Attributes:
        speakers: in the order of its voices.
        num_utterances: it learnt from.
        seconds: of them together.
        errors: word error rates, each in the voice of its recording: ``natural`` recordings, their spectrograms
            inverted (``copy``), their units spoken with true durations (``units_true``) and with those that the
            vocoder predicts (``units``; not of one that predicts none); empty where nothing was judged.
        rejected: utterances that could not be used, or not be judged.
    """

    vocoder: Vocoder
    speakers: tuple[str, ...]
    num_utterances: int
    seconds: float
    errors: dict[str, ErrorRate]
    rejected: tuple[Rejected, ...] = ()


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
    choice: Choice,
    *,
    shards: Path | str | None = None,
    judge: str | None = "pocketsphinx",
    work: Path | None = None,
    progress: Bar | None = None,
    warn: Callable[[str], None] | None = None,
) -> FittedVocoder:
    """Train a vocoder on one speaker of a corpus, or on all.

    Args:
        corpus: a corpus directory.
        tokenizer: of the units it is to speak.
        choice: what is to be learnt.
        shards: of this corpus and these units; None: the recordings are encoded again. Utterances that the shards lack
            are not learnt from.
        judge: who listens to held-out utterances, a name as for
            :func:`~smoltolk.speech.recognition.recognisers.recogniser_named`; None: nobody.
        work: for checkpoints and samples; None: nothing is kept.
        progress: advanced by one per step.
        warn: told what speaks against a good voice before the training starts.

    Raises:
        NotFoundError: no corpus, a part of it is missing, no shards, or no such judge.
        InputError: no such speaker, fewer than two utterances, shards of other units, or a choice that contradicts
            itself.
        MissingExtraError: ``judge`` is not installed.
    """
    start, rejected = _checked_start(choice, tokenizer), list[Rejected]()
    usable = _usable(corpus, choice.speaker, tokenizer.frame_rate, rejected)
    held_out, training = split_held_out(usable, choice.most, choice.seed, choice.held_out)
    prepared = None if shards is None else _prepared(shards, training, tokenizer)
    if prepared is not None:
        training = [one for one in training if one.id in prepared]
    if len(training) < FEW_UTTERANCES and warn is not None:
        warn(
            f"{len(training)} utterances are few to learn a voice from: expect words that cannot be understood. "
            f"A few hundred are better, {FEW_UTTERANCES} the least"
        )
    worded = [one for one, _ in do_each(held_out, _check_words, lambda one: one.id, rejected)] if judge else []
    judged = encode_utterances(worded, tokenizer, rejected)
    texts = texts_for_judge(usable, held_out)
    listener = None
    if judged and judge is not None:  # found now, not after hours of training
        listener = recogniser_named(judge, texts=texts, workers=0, language=worded[0].language)
    if prepared is None:
        encoded = [(one.utterance, one.sound, one.units) for one in encode_utterances(training, tokenizer, rejected)]
    else:
        read = read_each(training, SAMPLE_RATE, rejected)
        encoded = [(one, sound, prepared[one.id]) for one, sound in read]
    if not encoded:
        raise InputError(
            "some recordings of a corpus must be usable",
            f"all {len(rejected)} were rejected, the first, {rejected[0].id}, because: {rejected[0].reason}",
            "see `smoltolk corpus validate`",
        )
    waveforms, units = [sound for _, sound, _ in encoded], [units for _, _, units in encoded]
    names = [one.speaker for one, _, _ in encoded]
    vocoder = _fit(choice, waveforms, units, tokenizer, names, start, work, progress)
    errors = {}
    if judged:
        speakers = [one.utterance.speaker for one in judged]
        own = _OwnVoices(vocoder, [one if one in vocoder.speakers else None for one in speakers])
        errors = judge_encoded(own, judged, texts, judge=listener)
    seconds = sum(map(len, waveforms)) / SAMPLE_RATE
    voices = vocoder.speakers or (usable[0].speaker,)
    return FittedVocoder(vocoder, voices, len(encoded), seconds, errors, tuple(rejected))


def _check_words(utterance: Utterance) -> None:
    """Refuse to judge a text in which there is nothing to hear."""
    if not normalise(utterance.text):
        raise InputError(
            "a judge needs words to listen for", f"the text {utterance.text!r}", "it is left out of the word errors"
        )


def _prepared(shards: Path | str, training: Sequence[Utterance], tokenizer: UnitTokenizer) -> dict[str, Units]:
    """Units of these utterances by their ids."""
    found = units_by_id(shards, [one.id for one in training], fingerprint=tokenizer.fingerprint)
    if not found:
        raise InputError(
            "the shards must be of the corpus that a vocoder learns from",
            f"none of {len(training)} utterances, e.g. {training[0].id!r}, is in {shards}",
            "name the shards that `prepare` made of this corpus",
        )
    return found


def _checked_start(choice: Choice, tokenizer: UnitTokenizer) -> HifiGanVocoder | None:
    """What training begins with, if the choice does not contradict itself."""
    choice.check_kind()
    if choice.kind == "hifigan":
        return None if choice.start is None else HifiGanVocoder.load(choice.start, tokenizer.fingerprint)
    if choice.speaker == ALL:
        raise InputError(
            "several voices take a vocoder that tells them apart",
            f"all speakers, kind {choice.kind!r}",
            "take the kind hifigan, or one speaker",
        )
    if choice.start is not None:
        raise InputError(
            "only a HiFi-GAN can begin with another one", f"kind {choice.kind!r} with a start", "take the kind hifigan"
        )
    return None


def _fit(
    choice: Choice,
    waveforms: Sequence[np.ndarray],
    units: Sequence[Units],
    tokenizer: UnitTokenizer,
    speakers: Sequence[str],
    start: HifiGanVocoder | None,
    work: Path | None,
    progress: Bar | None,
) -> Vocoder:
    steps = choice.num_steps
    shared: dict[str, Any] = {
        "steps": steps, "seed": choice.seed, "device": choice.device, "precision": choice.precision,
        "keeping": _keeping(work, steps), "progress": progress,
    }  # fmt: skip
    if choice.kind == "griffinlim":
        return fit_vocoder(waveforms, units, tokenizer, **shared)
    if choice.kind == "vocos":
        return fit_vocos(waveforms, units, tokenizer, **shared)
    named = choice.speaker == ALL or (start is not None and start.speakers)
    names = speakers if named else None
    return fit_hifigan(waveforms, units, tokenizer, speakers=names, size=choice.size, start=start, **shared)


def _keeping(work: Path | None, steps: int) -> Keeping:
    """Ten checkpoints and five sets of samples of a short training; of a long one, every so many steps."""
    return Keeping(work, save_every=max(1, min(1_000, steps // 10)), sample_every=max(1, min(2_000, steps // 5)))


class _OwnVoices:
    """A vocoder that says each utterance in the voice it was recorded in."""

    def __init__(self, vocoder: Vocoder, speakers: Sequence[str | None]):
        self._vocoder, self._speakers = vocoder, speakers

    def copy_synthesis(self, waveform: np.ndarray) -> np.ndarray:
        return self._vocoder.copy_synthesis(waveform)

    @property
    def predicts_durations(self) -> bool:
        return self._vocoder.predicts_durations

    def synthesize_batch(
        self, units: Sequence[np.ndarray], durations: Sequence[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        return self._vocoder.synthesize_batch(units, durations, speakers=self._speakers)


def _usable(corpus: Path | str, speaker: str | None, frame_rate: float, rejected: list[Rejected]) -> list[Utterance]:
    seconds = speakers_of(corpus)
    chosen = next(iter(seconds), "") if speaker is None else speaker
    recorded = [one for one in read_corpus(corpus) if one.audio is not None]
    spoken = recorded if chosen == ALL else [one for one in recorded if one.speaker == chosen]
    usable = long_enough(spoken, frame_rate, rejected)
    if len(usable) < 2:
        raise InputError(
            "a vocoder needs two utterances of its speaker at least, better two hundred",
            f"{len(usable)} of {chosen!r}; there are {', '.join(list(seconds)[:5]) or 'none'}",
            "name another speaker",
        )
    return usable
