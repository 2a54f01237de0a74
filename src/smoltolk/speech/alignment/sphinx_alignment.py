"""Forced alignment with pocketsphinx: when each word, and each phone, of a known English text is said.

It aligns in two passes, words first and then the phones inside them; the second takes longer than the first, and is
left out where words are enough. Long recordings are searched in windows, see :mod:`smoltolk.speech.alignment.windows`.
Its acoustic model is American English; other accents of English work, other languages do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from smoltolk.common.errors import InputError, require
from smoltolk.speech.alignment.aligned_words import (
    AlignedWord,
    Alignment,
    arrange,
    coverage_of,
    mean_score,
    mismatch,
    trim,
)
from smoltolk.speech.alignment.sphinx_search import PURPOSE, SphinxDecoder, SphinxSearch
from smoltolk.speech.alignment.windows import Ways, align_windows
from smoltolk.speech.alignment.word_ends import extend
from smoltolk.speech.audio import SAMPLE_RATE, check_waveform, resample
from smoltolk.speech.pauses import LEVEL_RATE, loud_frames, quiet_frames, sounding_frames
from smoltolk.speech.spelling.characters import check_english
from smoltolk.speech.spelling.readings import readings


class _Doubt(NamedTuple):
    """The score at which a word is as likely wrong as right, and how fast doubt grows around it, in nats a frame."""

    score: float
    width: float

    def confidence(self, score: float) -> float:
        return 1 / (1 + math.exp((self.score - score) / self.width))


# Of long texts: measured on right and wrong ones of 120 synthetic recordings, clean, noisy and as on the telephone.
# Of few words and of one, held against the likeliest phones: on 450 recordings of one to eight words of a human voice
# with their own texts and those of others, and on 32 synthetic ones, clean, noisy and as on the telephone.
_LONG, _FEW, _ONE = _Doubt(-4.5, 0.8), _Doubt(-4.0, 0.5), _Doubt(-3.3, 0.5)
# A text of no more words may fit a recording of something else by chance: its scores are taken strictly.
_SHORT_WORDS = 8
# No text is said faster than this, or with so much sound a word: not worth a search.
_MOST_WORDS_PER_SECOND, _LOUD_SECONDS_PER_WORD, _SPARE_SECONDS = 20, 5, 10


class PocketsphinxAligner:
    """Texts to their recordings, with the acoustic model that comes with pocketsphinx.

    Args:
        phones: find the phones too, in more than twice the time; words, scores and confidences are the same.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
    """

    name = "pocketsphinx"
    lowest_confidence = 0.65  # of 60 stories: right texts 0.76 and more, wrong ones 0.55 and less; see docs/log.md

    def __init__(self, phones: bool = True) -> None:
        require("pocketsphinx", PURPOSE)
        self._phones = phones
        self._decoders: dict[bool, SphinxDecoder] = {}  # strict or not; made at first use: they cannot be pickled

    def align(
        self,
        waveform: np.ndarray,
        text: str,
        sample_rate: int = SAMPLE_RATE,
        report: Callable[[float], None] | None = None,
    ) -> Alignment:
        """Find every word of a text. The result depends on these two alone.

        Args:
            waveform: float [samples], full scale at 1; hours of it are fine.
            text: what is said, in Latin letters. Numbers are spelled out; where a token may be said in several ways,
                the likeliest is found.
            sample_rate: of the waveform.
            report: called now and then with the seconds that are done.

        Raises:
            InputError: no samples or not finite ones, no words, other letters, or a recording that does not say this.
        """
        tokens = text.split()
        said, owners = _said(tokens)
        check_waveform(waveform)
        check_english(text)
        if not said:
            raise InputError("a text to align must have a word", repr(" ".join(tokens[:8])), "write down what is said")
        waveform = resample(waveform, sample_rate, SAMPLE_RATE)
        end = len(waveform) / SAMPLE_RATE
        quiet, loud = quiet_frames(waveform), loud_frames(waveform)
        _check_amounts(waveform, said, float(loud.sum()) / LEVEL_RATE)
        num_words = sum(max(map(len, ways)) for ways in said)
        short = num_words <= _SHORT_WORDS
        doubt = _LONG if not short else _FEW if num_words > 1 else _ONE
        if short not in self._decoders:
            self._decoders[short] = SphinxDecoder(strict=short)
        decoder = self._decoders[short]
        decoder.learn([word for ways in said for way in ways for word in way])
        search = SphinxSearch(decoder, waveform, self._phones)
        found = align_windows(search, said, end, quiet, doubt.score, report)
        words: list[AlignedWord] = []
        owned: list[int] = []
        chosen: list[list[str]] = [[] for _ in tokens]
        for one, ways, owner in zip(found, said, owners, strict=True):
            for name, word in one.parts or [(ways[0][0], one)]:
                trim(word, quiet)
                words.append(word)
                owned.append(owner)
                chosen[owner].append(name)
        extend(words, waveform, sounding_frames(waveform))
        spans, phones, scores = arrange(tokens, owned, words, end)
        return Alignment(
            words=spans,
            phones=phones if self._phones else (),
            scores=scores,
            score=mean_score(words),
            coverage=coverage_of(spans, loud),
            confidences=tuple(doubt.confidence(score) for score in scores),
            said=tuple(tuple(own) for own in chosen),
        )

    def align_batch(
        self,
        waveforms: Sequence[np.ndarray],
        texts: Sequence[str],
        sample_rate: int = SAMPLE_RATE,
        report: Callable[[float], None] | None = None,
    ) -> list[Alignment | InputError]:
        """:meth:`align` for many, one after the other; what cannot be aligned gives its error.

        ``report`` is called now and then with the seconds of all of them that are done.
        """
        found: list[Alignment | InputError] = []
        done = 0.0
        for waveform, text in zip(waveforms, texts, strict=True):
            try:
                within = None if report is None else partial(_report_behind, report, done)
                found.append(self.align(waveform, text, sample_rate, within))
            except InputError as error:
                found.append(error)
            done += len(waveform) / sample_rate
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_decoders": {}}


def _said(tokens: Sequence[str]) -> tuple[list[Ways], list[int]]:
    """What is searched for, and the token that each belongs to: words, or a token with all its readings."""
    said: list[Ways] = []
    owners: list[int] = []
    for owner, ways in enumerate(readings(tokens)):
        lower = tuple(dict.fromkeys(tuple(word.lower() for word in way) for way in ways))
        own = [lower] if len(lower) > 1 else [((word,),) for word in lower[0]]
        said += own
        owners += [owner] * len(own)
    return said, owners


def _check_amounts(waveform: np.ndarray, said: Sequence[Ways], loud_seconds: float) -> None:
    num_words, most_words = (sum(best(map(len, ways)) for ways in said) for best in (min, max))
    seconds = len(waveform) / SAMPLE_RATE
    if not waveform.any():
        raise mismatch(f"{seconds:g} s of silence")
    if num_words > _MOST_WORDS_PER_SECOND * max(1.0, seconds):
        raise mismatch(f"{num_words} words in {seconds:.1f} s")
    if loud_seconds > _LOUD_SECONDS_PER_WORD * most_words + _SPARE_SECONDS:
        raise mismatch(f"{loud_seconds:.0f} s of sound and {most_words} {'words' if most_words > 1 else 'word'}")


def _report_behind(report: Callable[[float], None], before: float, done: float) -> None:
    report(before + done)
