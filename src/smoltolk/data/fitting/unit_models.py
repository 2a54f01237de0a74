"""Units of one's own, from a corpus: which utterances they learn from, and how good they are."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar, bar
from smoltolk.common.rejection import Rejected, do_together
from smoltolk.common.seeds import derive, generator
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.fitting.speech_models import long_enough, read_each, split_held_out
from smoltolk.speech.audio import SAMPLE_RATE
from smoltolk.speech.units.codebook import fit_codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.encoders import FrameEncoder
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.units.phone_bottleneck import BOTTLENECK, BottleneckEncoder
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer, fit_phone_units
from smoltolk.speech.units.published import pretrained_encoder
from smoltolk.speech.units.quality import LabelledUnits, UnitQuality, quality_of
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer, check_one_codebook

PHONES, MFCC = "phones", "mfcc"
_TOGETHER = 16  # recordings in memory, and through an encoder, at a time
_SLOWEST, _USUAL = 25.0, 50.0  # frames a second of phones and MFCC, and of what is not known before it is loaded
_PARALLEL_SENTENCES, _PARALLEL_VOICES = 10, 8  # most that voices are compared on


@dataclass(frozen=True, slots=True)
class UnitFit:
    """What is fitted.

    Attributes:
        encoder: ``"phones"``, ``"mfcc"``, or an encoder of transformers by published name, hub id or directory.
        layer: of the latter; None: the published one.
        clusters: units; 0: one for each phone (phones only).
        steps: of training (phones).
        kmeans_steps: of mini-batches.
        most: utterances to learn from; those of a phone encoder are held in memory.
        frames: most frames to cluster, drawn at random from these utterances.
        dtype: that an encoder of transformers computes in.
        device: where it does.
        seed: of every choice.
        held_out: ids of utterances that quality is measured on and nothing is learnt from; empty: a tenth is drawn,
            40 at most.
    """

    encoder: str = PHONES
    layer: int | None = None
    clusters: int = 0
    steps: int = 600
    kmeans_steps: int = 1000
    most: int = 1000
    frames: int = 200_000
    dtype: str = "float32"
    device: str = "cpu"
    seed: int = 0
    held_out: tuple[str, ...] = ()

    @property
    def needs_phones(self) -> bool:
        """Whether it learns from labels."""
        return self.encoder == PHONES

    def check(self) -> None:
        """Refuse what makes no sense before anything is read.

        Raises:
            InputError: an option that another one rules out, or a number out of its range.
        """
        found = None
        if self.encoder in (PHONES, MFCC) and (self.layer is not None or self.dtype != "float32"):
            found = f"--layer or --dtype with {self.encoder}, which has no layers and one type"
        elif self.clusters < (0 if self.needs_phones else 2) or self.clusters == 1:
            found = f"{self.clusters} clusters of {self.encoder}"
        elif min(self.steps, self.kmeans_steps, self.frames) < 1:
            found = f"{self.steps} and {self.kmeans_steps} steps, {self.frames} frames"
        elif self.frames < self.clusters:
            found = f"{self.frames} frames for {self.clusters} clusters"
        if found:
            raise InputError(
                "units are phones, or two clusters or more of an encoder's frames", found, "see `units fit --help`"
            )


@dataclass(frozen=True, slots=True)
class FittedUnits:
    """A tokenizer, its quality on utterances it was not trained on, and what taught it.

    Attributes:
        num_frames: that were clustered; 0 for phones.
        rejected: utterances that could not be used.
    """

    tokenizer: UnitTokenizer
    quality: UnitQuality
    num_utterances: int
    num_frames: int
    rejected: tuple[Rejected, ...] = ()


def fit_units(corpus: Path | str, fit: UnitFit) -> FittedUnits:
    """Fit units on a corpus and measure them on utterances held out.

    Voices are compared where a corpus has the same texts in the same two or more voices (at most ten texts, eight
    voices). All utterances of these texts are held out too, so "seen" means a voice of other, training utterances.

    Args:
        corpus: a corpus directory.
        fit: what is fitted.

    Raises:
        NotFoundError: no corpus, a part of it is missing, or no such encoder.
        InputError: fewer than two utterances (with phones, where these are needed), fewer frames than clusters, or
            options that do not fit; see :meth:`UnitFit.check`.
    """
    fit.check()
    rejected: list[Rejected] = []
    recorded = [one for one in read_corpus(corpus) if one.audio is not None and (one.phones or not fit.needs_phones)]
    usable = long_enough(recorded, _SLOWEST if fit.encoder in (PHONES, MFCC) else _USUAL, rejected)
    if len(usable) < 2:
        what = "phone units need utterances whose phones are known" if fit.needs_phones else "units need recordings"
        raise InputError(
            f"{what}, two at least",
            f"{len(usable)} in {corpus}",
            "make the corpus with `smoltolk speak`, or with `smoltolk corpus` and alignment",
        )
    parallel = parallel_sentences(usable)
    texts = {sentence[0].text for sentence in parallel}
    rest = [one for one in usable if one.text not in texts]  # nor what others, or the same once more, said of them
    if len(rest) < 2:  # nothing but parallel sentences: they have to teach as well
        parallel, rest = [], usable
    held_out, training = split_held_out(rest, fit.most, fit.seed, fit.held_out)
    held_out, training = _readable(held_out, training, rejected)  # now, not after the training
    tokenizer, training, num_frames = _fit(training, fit, rejected)
    if isinstance(tokenizer, PhoneUnitTokenizer):
        tokenizer.measure_doubt([waveform for _, waveform in read_each(held_out, SAMPLE_RATE, rejected)])
    taught = {one.speaker for one in training}
    seen = [[one for one in sentence if one.speaker in taught] for sentence in parallel]
    unseen = [[one for one in sentence if one.speaker not in taught] for sentence in parallel]
    quality = measure_on(tokenizer, held_out, seen=seen, unseen=unseen, rejected=rejected)
    return FittedUnits(tokenizer, quality, len(training), num_frames, tuple(rejected))


def _readable(
    held_out: list[Utterance], training: list[Utterance], rejected: list[Rejected]
) -> tuple[list[Utterance], list[Utterance]]:
    """Those held out that can be read; where there is none, the first of the others that can takes their place."""
    found = [one for one, _ in read_each(held_out, SAMPLE_RATE, rejected)]
    while not found and len(training) > 1:
        found = [one for one, _ in read_each(training[:1], SAMPLE_RATE, rejected)]
        training = training[1:]
    return found, training


def _fit(
    training: list[Utterance], fit: UnitFit, rejected: list[Rejected]
) -> tuple[UnitTokenizer, list[Utterance], int]:
    """The tokenizer, who taught it, and how many of their frames were clustered."""
    encoder: FrameEncoder
    if fit.needs_phones:
        heard = list(read_each(training, SAMPLE_RATE, rejected))
        training = [one for one, _ in heard]
        speech = [LabelledSpeech(waveform, one.phones) for one, waveform in heard]
        neck = BOTTLENECK if fit.clusters else 0
        with bar("phone encoder", fit.steps, "steps") as progress:
            phones = fit_phone_units(speech, steps=fit.steps, bottleneck=neck, seed=fit.seed, progress=progress)
        if not fit.clusters:
            return phones, training, 0
        encoder = BottleneckEncoder(phones)
    elif fit.encoder == MFCC:
        encoder = MfccEncoder()
    else:
        encoder = pretrained_encoder(fit.encoder, fit.layer, dtype=fit.dtype)
        encoder.to(fit.device)
    before = len(rejected)
    with bar("frames", sum(one.seconds for one in training), "s of speech") as progress:
        frames = draw_frames(training, encoder, fit.frames, fit.seed, progress, rejected)
    bad = {one.id for one in rejected[before:]}
    training = [one for one in training if one.id not in bad]
    seed = derive(fit.seed, "codebook") >> 33  # 31 bits, as clusterers take it
    with bar("codebook", fit.kmeans_steps, "steps") as progress:
        codebook = fit_codebook(frames, fit.clusters, steps=fit.kmeans_steps, seed=seed, progress=progress)
    return EncoderUnitTokenizer(encoder, codebook), training, len(frames)


def measure_on(
    tokenizer: UnitTokenizer,
    utterances: Sequence[Utterance],
    *,
    seen: Sequence[Sequence[Utterance]] = (),
    unseen: Sequence[Sequence[Utterance]] = (),
    rejected: list[Rejected],
) -> UnitQuality:
    """Measure units on utterances.

    Args:
        tokenizer: with one codebook.
        utterances: that it was not trained on; a few are in memory at a time.
        seen, unseen: for each sentence the utterances of it, as of :func:`parallel_sentences`.
        rejected: gets what cannot be read or encoded.

    Raises:
        InputError: no utterance can be used, or a tokenizer of several codebooks.
    """
    check_one_codebook(tokenizer, "quality is measured of")
    held_out = list(_encoded(tokenizer, utterances, rejected))
    if not held_out:
        first = f", the first because: {rejected[0].reason}" if rejected else ""
        raise InputError(
            "some recordings must be usable to measure on", f"none of {len(utterances)}{first}", "give other recordings"
        )
    spoken = [LabelledUnits(units, one.phones, one.seconds) for one, units in held_out]
    return quality_of(
        spoken,
        tokenizer.frame_rate,
        seen=_encoded_sentences(tokenizer, seen, rejected),
        unseen=_encoded_sentences(tokenizer, unseen, rejected),
    )


@dataclass(frozen=True, slots=True)
class MeasuredUnits:
    """Quality of units on a corpus, how many utterances tell it, what could not be used, and the time it took.

    Attributes:
        seconds: of reading and encoding what ``quality`` is measured on, voices that are compared included.
        speech_seconds: of these recordings.
    """

    quality: UnitQuality
    num_utterances: int
    rejected: tuple[Rejected, ...]
    seconds: float
    speech_seconds: float


def measure_corpus(corpus: Path | str, tokenizer: UnitTokenizer, most: int = 200, seed: int = 0) -> MeasuredUnits:
    """Measure units that exist on a corpus that they were not made of.

    Nobody knows here which voices they were made of: all that say the same texts are compared as unseen ones.

    Args:
        corpus: a corpus directory.
        tokenizer: with one codebook.
        most: utterances, drawn at random.
        seed: of the draw.

    Raises:
        NotFoundError: no corpus, or a part of it is missing.
        InputError: no utterance can be used, fewer than one is asked for, or a tokenizer of several codebooks.
    """
    if most < 1:
        raise InputError("units are measured on an utterance at least", f"{most}", "ask for more")
    rejected: list[Rejected] = []
    recorded = [one for one in read_corpus(corpus) if one.audio is not None]
    usable = long_enough(recorded, tokenizer.frame_rate, rejected)
    drawn = [usable[k] for k in generator(seed, "measured").permutation(len(usable))[:most]]
    parallel = parallel_sentences(usable)
    start = time.perf_counter()
    quality = measure_on(tokenizer, drawn, unseen=parallel, rejected=rejected)
    seconds = time.perf_counter() - start
    bad = {one.id for one in rejected}
    good = [one for one in drawn if one.id not in bad]
    heard = [*good, *(one for sentence in parallel for one in sentence if one.id not in bad)]
    return MeasuredUnits(quality, len(good), tuple(rejected), seconds, sum(one.seconds for one in heard))


def _encoded(
    tokenizer: UnitTokenizer, utterances: Sequence[Utterance], rejected: list[Rejected]
) -> Iterator[tuple[Utterance, Units]]:
    for start in range(0, len(utterances), _TOGETHER):
        heard = list(read_each(utterances[start : start + _TOGETHER], tokenizer.sample_rate, rejected))

        def encode(some: Sequence[tuple[Utterance, np.ndarray]]) -> list[Units]:
            return tokenizer.encode([waveform for _, waveform in some])

        for (one, _), units in do_together(heard, encode, lambda item: item[0].id, rejected):
            yield one, units


def _encoded_sentences(
    tokenizer: UnitTokenizer, sentences: Sequence[Sequence[Utterance]], rejected: list[Rejected]
) -> list[list[Units]]:
    """Those that every voice said in a way that can be used; empty where a comparison lacks sentences or voices."""
    if len(sentences) < 2 or min(map(len, sentences)) < 2:
        return []
    found = [[units for _, units in _encoded(tokenizer, voices, rejected)] for voices in sentences]
    whole = [units for units, voices in zip(found, sentences, strict=True) if len(units) == len(voices)]
    return whole if len(whole) > 1 else []


def draw_frames(
    utterances: Sequence[Utterance],
    encoder: FrameEncoder,
    most: int,
    seed: int,
    progress: Bar | None = None,
    rejected: list[Rejected] | None = None,
) -> np.ndarray:
    """Features of frames drawn at random, the same share of every utterance.

    Args:
        utterances: with recordings.
        encoder: of the features.
        most: frames; all, if there are fewer.
        seed: of the draw.
        progress: advanced by seconds of speech.
        rejected: gets utterances that cannot be read or encoded.

    Returns:
        float32 ``[frames, dim]``.

    Raises:
        InputError: no utterance can be used.
    """
    rejected = [] if rejected is None else rejected

    def features(some: Sequence[tuple[Utterance, np.ndarray]]) -> list[Tensor]:
        return encoder.features([waveform for _, waveform in some])

    share = min(1.0, most / max(1.0, sum(one.seconds for one in utterances) * encoder.frame_rate))
    drawn = []
    for start in range(0, len(utterances), _TOGETHER):
        some = utterances[start : start + _TOGETHER]
        heard = list(read_each(some, encoder.sample_rate, rejected))
        for (one, _), made in do_together(heard, features, lambda item: item[0].id, rejected):
            random = generator(seed, "frames", one.id)
            drawn.append(made.numpy()[random.random(len(made)) < share])
        if progress is not None:
            progress.advance(sum(one.seconds for one in some))
    if not drawn:
        raise InputError(
            "some recordings of a corpus must be usable",
            f"none of {len(utterances)}" + (f", the first because: {rejected[0].reason}" if rejected else ""),
            "see `smoltolk corpus validate`",
        )
    return np.concatenate(drawn)[:most]


def parallel_sentences(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    """Texts that the same voices all said, those voices in the same order; the most utterances that can be found.

    Args:
        utterances: with recordings; of several with one text and voice the first counts.

    Returns:
        At most ten texts in at most eight voices, two of either at least; else nothing.
    """
    by_text: dict[str, dict[str, Utterance]] = defaultdict(dict)
    for one in utterances:
        if one.text:
            by_text[one.text].setdefault(one.speaker, one)
    counts = Counter(frozenset(spoken) for spoken in by_text.values() if len(spoken) >= 2)
    best: list[list[Utterance]] = []
    for voices, _ in counts.most_common(20):
        chosen = sorted(voices)[:_PARALLEL_VOICES]
        texts = [spoken for spoken in by_text.values() if all(voice in spoken for voice in chosen)]
        found = [[spoken[voice] for voice in chosen] for spoken in texts[:_PARALLEL_SENTENCES]]
        if len(found) >= 2 and len(found) * len(chosen) > sum(map(len, best)):
            best = found
    return best
