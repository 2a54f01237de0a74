"""Forced alignment with pocketsphinx: when each word, and each phone, of a known English text is said.

It aligns in two passes, words first and then the phones inside them; the second takes longer than the first, and is
left out where words are enough. Its acoustic model is American English; other accents of English work, other
languages do not.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, require
from smoltolk.speech.alignment.aligned_words import (
    AlignedWord,
    Alignment,
    arrange,
    check_length,
    coverage_of,
    mean_score,
    merge_vowels,
    mismatch,
    trim,
)
from smoltolk.speech.audio import SAMPLE_RATE, resample
from smoltolk.speech.pauses import loud_frames, quiet_frames
from smoltolk.speech.recognition.language_model import dictionary
from smoltolk.speech.recognition.sphinx_recognition import prepare
from smoltolk.speech.spelling import spoken_words

_PURPOSE = "the offline aligner"
LONGEST_SECONDS = 180  # memory grows with the square: 1.2 GB here, 10 GB for ten minutes
_FRAME_RATE = 100
_PADDING_SECONDS = 0.25  # put on both sides by the judge's preparation
# Frame k sees 25.6 ms from k * 10 ms on, so the border before it lies later than k * 10 ms; espeak's times agree best
# with half a frame.
_BORDER_SECONDS = 0.005
# Scores are logarithms to the base 1.0001, divided by 1024.
_NATS = 0.1024
_NO_WORD = "<[+"  # how the names of silences and noises begin
# The score at which a word is as likely wrong as right, and how fast doubt grows around it: measured on right and wrong
# texts of 120 synthetic recordings, clean, noisy and as on the telephone.
_DOUBTFUL_NATS, _DOUBT_WIDTH = -4.5, 0.8
_SETTINGS: dict[str, Any] = {
    "cmn": "batch",
    "loglevel": "FATAL",
    # The best path through a lattice puts an end of one frame behind the last word, which the second pass cannot align.
    "bestpath": False,
    # The usual beam of words is narrower than that of phones, and loses right texts.
    "beam": 1e-48,
    "pbeam": 1e-48,
    "wbeam": 1e-48,
    # A pause costs nothing: otherwise a soft consonant ("The") is stretched over the pause before it.
    "silprob": 1.0,
    "lw": 1.0,
}


class PocketsphinxAligner:
    """Texts to their recordings, with the acoustic model that comes with pocketsphinx.

    Args:
        phones: find the phones too, in more than twice the time; words, scores and confidences are the same.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
    """

    name = "pocketsphinx"
    lowest_confidence = 0.65  # right texts 0.77 to 0.97, wrong ones 0.28 to 0.65: docs/log.md

    def __init__(self, phones: bool = True) -> None:
        require("pocketsphinx", _PURPOSE)
        self._phones = phones
        self._decoder: Any = None  # made at first use: it cannot be pickled
        self._known: set[str] = set()

    def align(self, waveform: np.ndarray, text: str, sample_rate: int = SAMPLE_RATE) -> Alignment:
        """Find every word of a text. The result depends on these two alone.

        Args:
            waveform: float [samples], full scale at 1, at most :data:`LONGEST_SECONDS`.
            text: what is said, in Latin letters; numbers are spelled out.
            sample_rate: of the waveform.

        Raises:
            InputError: samples that are not finite, too many of them, no words, other letters, or a recording that
                does not say this.
        """
        tokens = text.split()
        said = [(word.lower(), owner) for owner, token in enumerate(tokens) for word in spoken_words(token)]
        _check_text(text, bool(said))
        check_length(len(waveform) / sample_rate, LONGEST_SECONDS)
        waveform = resample(waveform, sample_rate, SAMPLE_RATE)
        self._learn([word for word, _ in said])
        words = self._align_words(waveform, [word for word, _ in said])
        quiet = quiet_frames(waveform)
        for word in words:
            trim(word, quiet)
        end = len(waveform) / SAMPLE_RATE
        spans, phones, scores = arrange(tokens, [owner for _, owner in said], words, end)
        return Alignment(
            words=spans,
            phones=phones if self._phones else (),
            scores=scores,
            score=mean_score(words),
            coverage=coverage_of(spans, loud_frames(waveform)),
            confidences=tuple(_confidence(score) for score in scores),
        )

    def align_batch(
        self, waveforms: Sequence[np.ndarray], texts: Sequence[str], sample_rate: int = SAMPLE_RATE
    ) -> list[Alignment | InputError]:
        """:meth:`align` for many, one after the other; what cannot be aligned gives its error."""
        found: list[Alignment | InputError] = []
        for waveform, text in zip(waveforms, texts, strict=True):
            try:
                found.append(self.align(waveform, text, sample_rate))
            except InputError as error:
                found.append(error)
        return found

    def _learn(self, words: Sequence[str]) -> None:
        """Give the decoder every pronunciation of words that it has not met."""
        if self._decoder is None:
            sphinx = require("pocketsphinx", _PURPOSE)
            model, known = (sphinx.get_model_path(f"en-us/{name}") for name in ("en-us", "cmudict-en-us.dict"))
            self._decoder = sphinx.Decoder(hmm=model, dict=known, lm=None, **_SETTINGS)
        new = sorted(set(words) - self._known)
        for line in dictionary(new).splitlines() if new else ():
            name, _, phones = line.partition(" ")
            if self._decoder.lookup_word(name) is None:
                self._decoder.add_word(name, phones, False)
        self._known.update(new)

    def _align_words(self, waveform: np.ndarray, said: Sequence[str]) -> list[AlignedWord]:
        decoder, pcm = self._decoder, prepare(waveform)
        try:
            decoder.set_align_text(" ".join(said))
            self._pass(pcm)
            segments = decoder.seg()
            if segments is None:
                raise mismatch("no way through the recording says it")
            log = decoder.get_logmath().log
            found = [
                AlignedWord(
                    [("", _seconds(one.start_frame), _seconds(one.end_frame + 1))],
                    log(one.ascore) * _NATS,
                    one.end_frame - one.start_frame + 1,
                )
                for one in segments
                if one.word[0] not in _NO_WORD
            ]
            if len(found) != len(said):
                raise mismatch(f"only {len(found)} of {len(said)} words were found")
            if self._phones:
                decoder.set_alignment()
                self._pass(pcm)
        except RuntimeError as error:  # all that the library ever says
            raise mismatch(str(error)) from error
        if self._phones:
            # The library's words live only as long as the step of the loop that has them.
            phones = [
                [(phone.name, _seconds(phone.start), _seconds(phone.start + phone.duration)) for phone in word]
                for word in decoder.get_alignment()
                if word.name[0] not in _NO_WORD
            ]
            for one, own in zip(found, phones, strict=True):
                one.phones = merge_vowels(own)
        return found

    def _pass(self, pcm: bytes) -> None:
        self._decoder.reinit_feat()  # forget the utterance before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_decoder": None, "_known": set()}


def _confidence(score: float) -> float:
    return 1 / (1 + math.exp((_DOUBTFUL_NATS - score) / _DOUBT_WIDTH))


def _check_text(text: str, any_words: bool) -> None:
    if not any_words:
        raise InputError("a text to align must have a word", repr(text), "write down what is said")
    for letter in text:
        if letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN"):
            raise InputError(
                "the offline aligner knows English, in Latin letters", f"{letter!r} in {text!r}", "transcribe the word"
            )


def _seconds(frame: int) -> float:
    return max(0.0, frame / _FRAME_RATE + _BORDER_SECONDS - _PADDING_SECONDS)
