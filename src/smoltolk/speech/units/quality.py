"""How good units are: do they follow phones, and do voices agree on them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.segments import Segment
from smoltolk.speech.units.phone_encoder import LabelledSpeech, phone_frames
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer, check_one_codebook


@dataclass(frozen=True, slots=True)
class UnitQuality:
    """Figures of a unit tokenizer.

    Attributes:
        purity: share of frames whose phone is the commonest phone of their unit; NaN where phones are unknown.
        pnmi: mutual information of phone and unit as a share of the phone's entropy (Hsu et al. 2021); NaN likewise.
        cross_voice_seen: :func:`cross_voice_ratio` over voices of the training data; NaN if not measured.
        cross_voice_unseen: the same over other voices; NaN if not measured.
        units_per_second: after deduplication.
        bits_per_second: units per second times their entropy (as independent draws).
        num_seconds: of the speech behind purity, PNMI and the rates.
    """

    purity: float
    pnmi: float
    cross_voice_seen: float
    cross_voice_unseen: float
    units_per_second: float
    bits_per_second: float
    num_seconds: float

    def as_dict(self) -> dict[str, float]:
        """Plain numbers by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabelledUnits:
    """Units of speech whose phones may be known.

    Attributes:
        units: of one codebook.
        phones: segments, as of :class:`~smoltolk.speech.units.phone_encoder.LabelledSpeech`; empty if unknown.
        seconds: of the recording.
    """

    units: Units
    phones: tuple[Segment, ...]
    seconds: float


def measure_units(
    tokenizer: UnitTokenizer,
    labelled: Sequence[LabelledSpeech],
    *,
    seen: Sequence[Sequence[np.ndarray]] = (),
    unseen: Sequence[Sequence[np.ndarray]] = (),
) -> UnitQuality:
    """Measure a tokenizer on held-out speech.

    Args:
        tokenizer: with one codebook.
        labelled: speech that the tokenizer was not trained on; purity and PNMI are measured on
            what has phones.
        seen: for each sentence its waveforms, each in another voice of the training data.
        unseen: the same in voices that the tokenizer never met.

    Raises:
        InputError: no speech, or a tokenizer of several codebooks.
    """
    check_one_codebook(tokenizer, "quality is measured of")
    encoded = tokenizer.encode([utterance.waveform for utterance in labelled]) if labelled else []
    spoken = [
        LabelledUnits(units, one.phones, len(one.waveform) / tokenizer.sample_rate)
        for one, units in zip(labelled, encoded, strict=True)
    ]
    return quality_of(
        spoken,
        tokenizer.frame_rate,
        seen=[tokenizer.encode(voices) for voices in seen],
        unseen=[tokenizer.encode(voices) for voices in unseen],
    )


def quality_of(
    spoken: Sequence[LabelledUnits],
    frame_rate: float,
    *,
    seen: Sequence[Sequence[Units]] = (),
    unseen: Sequence[Sequence[Units]] = (),
) -> UnitQuality:
    """The same of units that were made before.

    Args:
        spoken: held-out speech.
        frame_rate: of the units, Hz.
        seen, unseen: as of :func:`measure_units`.

    Raises:
        InputError: no speech.
    """
    if not spoken:
        raise InputError("quality is measured on speech", "no utterances", "give some held-out ones")
    known = [one for one in spoken if one.phones]
    counts = _phone_counts(known, frame_rate) if known else None
    units = np.concatenate([one.units.units for one in spoken])
    seconds = sum(one.seconds for one in spoken)
    rate = len(units) / seconds
    return UnitQuality(
        purity=math.nan if counts is None else purity(counts),
        pnmi=math.nan if counts is None else pnmi(counts),
        cross_voice_seen=_ratio(seen),
        cross_voice_unseen=_ratio(unseen),
        units_per_second=rate,
        bits_per_second=rate * _entropy(np.bincount(units) / len(units)),
        num_seconds=seconds,
    )


def _phone_counts(known: Sequence[LabelledUnits], frame_rate: float) -> np.ndarray:
    names = sorted({"sil"} | {segment.text for one in known for segment in one.phones})
    phones = [phone_frames(one.phones, names, one.units.num_frames, frame_rate) for one in known]
    return count_pairs(np.concatenate(phones), np.concatenate([one.units.frames() for one in known]))


def count_pairs(phones: np.ndarray, units: np.ndarray) -> np.ndarray:
    """How often each phone meets each unit, int64 ``[phones, units]``; the arrays have an entry per frame."""
    counts = np.zeros((int(phones.max()) + 1, int(units.max()) + 1), dtype=np.int64)
    np.add.at(counts, (phones, units), 1)
    return counts


def purity(counts: np.ndarray) -> float:
    """Share of frames whose phone is the commonest of their unit; ``counts`` is ``[phones, units]``."""
    return float(counts.max(axis=0).sum() / counts.sum())


def pnmi(counts: np.ndarray) -> float:
    """Phone-normalised mutual information of ``counts`` ``[phones, units]``, 0 to 1."""
    joint = counts / counts.sum()
    phone_entropy = _entropy(joint.sum(axis=1))
    shared = phone_entropy + _entropy(joint.sum(axis=0)) - _entropy(joint.ravel())
    return shared / phone_entropy if phone_entropy > 0 else math.nan


def cross_voice_ratio(sentences: Sequence[Sequence[np.ndarray]]) -> float:
    """How far apart voices are, as a share of how far apart sentences are.

    The mean edit distance between units of one sentence in two voices, divided by the mean edit distance
    between units of two sentences in one voice; each distance is per unit of the longer sequence. 0: voices
    agree fully; 1: a voice changes units as much as another sentence does.

    Args:
        sentences: for each sentence the deduplicated units ``[n]`` in each voice, voices in the same order.

    Raises:
        InputError: fewer than two sentences or two voices, or voices missing for some sentences.
    """
    sizes = {len(voices) for voices in sentences}
    if len(sentences) < 2 or len(sizes) != 1 or min(sizes) < 2:
        raise InputError(
            "voices are compared on at least two sentences, each in the same two or more voices",
            f"{len(sentences)} sentences with {sorted(sizes)} voices",
            "speak every sentence in every voice",
        )
    num_voices = sizes.pop()
    same = [
        _distance(voices[first], voices[second])
        for voices in sentences
        for first in range(num_voices)
        for second in range(first)
    ]
    other = [
        _distance(sentences[first][voice], sentences[second][voice])
        for voice in range(num_voices)
        for first in range(len(sentences))
        for second in range(first)
    ]
    return float(np.mean(same) / np.mean(other))


def edit_distance(first: np.ndarray, second: np.ndarray) -> int:
    """Levenshtein distance of two sequences of integers."""
    columns = np.arange(len(second) + 1)
    row = columns.copy()
    for index, unit in enumerate(first, 1):
        # Insertions run along a row: a running minimum of (cost - column) replaces the inner loop.
        best = np.empty_like(row)
        best[0] = index
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (second != unit))
        row = np.minimum.accumulate(best - columns) + columns
    return int(row[-1])


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    return edit_distance(first, second) / max(len(first), len(second), 1)


def _ratio(sentences: Sequence[Sequence[Units]]) -> float:
    return cross_voice_ratio([[one.units for one in voices] for voices in sentences]) if sentences else math.nan


def _entropy(probabilities: np.ndarray) -> float:
    """Bits of a distribution."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())
