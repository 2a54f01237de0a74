"""Units of one's own, from a corpus: which utterances they learn from, and how good they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar, bar
from smoltolk.common.seeds import derive, generator
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.fitting.speech_models import split_held_out, waveform_of
from smoltolk.speech.units.codebook import fit_codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.encoders import FrameEncoder
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.units.phone_bottleneck import BOTTLENECK, BottleneckEncoder
from smoltolk.speech.units.phone_encoder import LabelledSpeech, fit_phone_units
from smoltolk.speech.units.published import pretrained_encoder
from smoltolk.speech.units.quality import UnitQuality, measure_units
from smoltolk.speech.units.tokenizer import UnitTokenizer

PHONES, MFCC = "phones", "mfcc"
_TOGETHER = 16  # recordings in memory, and through an encoder, at a time
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
    """

    tokenizer: UnitTokenizer
    quality: UnitQuality
    num_utterances: int
    num_frames: int


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
    usable = [one for one in read_corpus(corpus) if one.audio is not None and (one.phones or not fit.needs_phones)]
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
    held_out, training = split_held_out(rest, fit.most, fit.seed)
    tokenizer, num_frames = _fit(training, fit)
    rate = tokenizer.sample_rate
    speech = [LabelledSpeech(waveform_of(one, rate), one.phones) for one in held_out]
    taught = {one.speaker for one in training}
    seen = [[one for one in sentence if one.speaker in taught] for sentence in parallel]
    unseen = [[one for one in sentence if one.speaker not in taught] for sentence in parallel]
    quality = measure_units(tokenizer, speech, seen=_waveforms(seen, rate), unseen=_waveforms(unseen, rate))
    return FittedUnits(tokenizer, quality, len(training), num_frames)


def _fit(training: Sequence[Utterance], fit: UnitFit) -> tuple[UnitTokenizer, int]:
    encoder: FrameEncoder
    if fit.needs_phones:
        speech = [LabelledSpeech(waveform_of(one), one.phones) for one in training]
        neck = BOTTLENECK if fit.clusters else 0
        with bar("phone encoder", fit.steps, "steps") as progress:
            phones = fit_phone_units(speech, steps=fit.steps, bottleneck=neck, seed=fit.seed, progress=progress)
        if not fit.clusters:
            return phones, 0
        encoder = BottleneckEncoder(phones)
    elif fit.encoder == MFCC:
        encoder = MfccEncoder()
    else:
        encoder = pretrained_encoder(fit.encoder, fit.layer, dtype=fit.dtype)
        encoder.to(fit.device)
    with bar("frames", sum(one.seconds for one in training), "s of speech") as progress:
        frames = draw_frames(training, encoder, fit.frames, fit.seed, progress)
    seed = derive(fit.seed, "codebook") >> 33  # 31 bits, as clusterers take it
    with bar("codebook", fit.kmeans_steps, "steps") as progress:
        codebook = fit_codebook(frames, fit.clusters, steps=fit.kmeans_steps, seed=seed, progress=progress)
    return EncoderUnitTokenizer(encoder, codebook), len(frames)


def draw_frames(
    utterances: Sequence[Utterance], encoder: FrameEncoder, most: int, seed: int, progress: Bar | None = None
) -> np.ndarray:
    """Features of frames drawn at random, the same share of every utterance.

    Args:
        utterances: with recordings.
        encoder: of the features.
        most: frames; all, if there are fewer.
        seed: of the draw.
        progress: advanced by seconds of speech.

    Returns:
        float32 ``[frames, dim]``.
    """
    share = min(1.0, most / max(1.0, sum(one.seconds for one in utterances) * encoder.frame_rate))
    drawn = []
    for start in range(0, len(utterances), _TOGETHER):
        some = utterances[start : start + _TOGETHER]
        features = encoder.features([waveform_of(one, encoder.sample_rate) for one in some])
        for one, made in zip(some, features, strict=True):
            random = generator(seed, "frames", one.id)
            drawn.append(made.numpy()[random.random(len(made)) < share])
        if progress is not None:
            progress.advance(sum(one.seconds for one in some))
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


def _waveforms(sentences: Sequence[Sequence[Utterance]], sample_rate: int) -> list[list[np.ndarray]]:
    """Empty where a comparison lacks sentences or voices."""
    if len(sentences) < 2 or min(map(len, sentences)) < 2:
        return []
    return [[waveform_of(one, sample_rate) for one in voices] for voices in sentences]
