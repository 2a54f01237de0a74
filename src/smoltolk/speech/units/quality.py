"""How good units are: do they follow phones, and do voices agree on them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from smoltolk.common.errors import InputError
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
    if not labelled:
        raise InputError("quality is measured on speech", "no utterances", "give some held-out ones")
    encoded = tokenizer.encode([utterance.waveform for utterance in labelled])
    known = [(utterance, units) for utterance, units in zip(labelled, encoded, strict=True) if utterance.phones]
    counts = _phone_counts(tokenizer, known) if known else None
    units = np.concatenate([one.units for one in encoded])
    seconds = sum(len(utterance.waveform) for utterance in labelled) / tokenizer.sample_rate
    rate = len(units) / seconds
    return UnitQuality(
        purity=math.nan if counts is None else purity(counts),
        pnmi=math.nan if counts is None else pnmi(counts),
        cross_voice_seen=_encoded_ratio(tokenizer, seen),
        cross_voice_unseen=_encoded_ratio(tokenizer, unseen),
        units_per_second=rate,
        bits_per_second=rate * _entropy(np.bincount(units) / len(units)),
        num_seconds=seconds,
    )


def _phone_counts(tokenizer: UnitTokenizer, known: Sequence[tuple[LabelledSpeech, Units]]) -> np.ndarray:
    names = sorted({"sil"} | {segment.text for utterance, _ in known for segment in utterance.phones})
    phones = [phone_frames(one.phones, names, units.num_frames, tokenizer.frame_rate) for one, units in known]
    return count_pairs(np.concatenate(phones), np.concatenate([units.frames() for _, units in known]))


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


def _encoded_ratio(tokenizer: UnitTokenizer, sentences: Sequence[Sequence[np.ndarray]]) -> float:
    if not sentences:
        return math.nan
    return cross_voice_ratio([[one.units for one in tokenizer.encode(voices)] for voices in sentences])


def _entropy(probabilities: np.ndarray) -> float:
    """Bits of a distribution."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())
