"""Forced alignment: when each word, and each phone, of a known text is said.

pocketsphinx aligns in two passes, words first and then the phones inside them. Its acoustic model is American
English; other accents of English work, other languages do not.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, require
from smoltolk.speech.aligned_words import AlignedWord, arrange, coverage_of, mean_score, merge_vowels, trim
from smoltolk.speech.audio import SAMPLE_RATE, resample
from smoltolk.speech.language_model import dictionary
from smoltolk.speech.pauses import loud_frames, quiet_frames
from smoltolk.speech.recognition import _prepare
from smoltolk.speech.segments import Segment
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


@dataclass(frozen=True, slots=True)
class Alignment:
    """A text on its recording.

    Attributes:
        words: one segment for every whitespace token of the text, as written, in order; a token without anything to
            say (a dash) has one of no length.
        phones: segments named by ``phones.PHONES`` that tile the recording from 0 to its end. Vowels are those of
            the dictionary: it does not tell AX (the a in "about") from AH.
        scores: for each token, the mean over its frames of how far the sound is from the best match, in nats; 0 is
            best, clear speech has -1 to -7, NaN where nothing is said.
        score: the same over all words.
        coverage: share of the loud parts of the recording that lie inside words; below 0.9 the text lacks something.
    """

    words: tuple[Segment, ...]
    phones: tuple[Segment, ...]
    scores: tuple[float, ...]
    score: float
    coverage: float


class PocketsphinxAligner:
    """Texts to their recordings, with the acoustic model that comes with pocketsphinx.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
    """

    def __init__(self) -> None:
        require("pocketsphinx", _PURPOSE)
        self._decoder: Any = None  # made at first use: it cannot be pickled
        self._known: set[str] = set()

    def align(self, waveform: np.ndarray, text: str, sample_rate: int = SAMPLE_RATE) -> Alignment:
        """Find every word of a text, and its phones. The result depends on these two alone.

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
        if len(waveform) / sample_rate > LONGEST_SECONDS:
            raise InputError(
                f"a recording to align lasts {LONGEST_SECONDS} s at most",
                f"{len(waveform) / sample_rate:.0f} s",
                "cut it at pauses, each part with its text",
            )
        waveform = resample(waveform, sample_rate, SAMPLE_RATE)
        self._learn([word for word, _ in said])
        words = self._align_words(waveform, " ".join(word for word, _ in said))
        if len(words) != len(said):
            raise _mismatch(f"only {len(words)} of {len(said)} words were found")
        quiet = quiet_frames(waveform)
        for word in words:
            trim(word, quiet)
        spans, phones, scores = arrange(tokens, [owner for _, owner in said], words, len(waveform) / SAMPLE_RATE)
        return Alignment(spans, phones, scores, mean_score(words), coverage_of(spans, loud_frames(waveform)))

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

    def _align_words(self, waveform: np.ndarray, text: str) -> list[AlignedWord]:
        decoder, pcm = self._decoder, _prepare(waveform)
        try:
            decoder.set_align_text(text)
            self._pass(pcm)
            if decoder.seg() is None:
                raise _mismatch("no way through the recording says it")
            decoder.set_alignment()
            self._pass(pcm)
        except RuntimeError as error:  # all that the library ever says
            raise _mismatch(str(error)) from error
        return [
            AlignedWord(
                merge_vowels(
                    [(phone.name, _seconds(phone.start), _seconds(phone.start + phone.duration)) for phone in word]
                ),
                word.score * _NATS,
                word.duration,
            )
            for word in decoder.get_alignment()
            if word.name[0] not in "<[+"  # silences and noises
        ]

    def _pass(self, pcm: bytes) -> None:
        self._decoder.reinit_feat()  # forget the utterance before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()

    def __getstate__(self) -> dict[str, Any]:
        return {"_decoder": None, "_known": set()}


def _mismatch(found: str) -> InputError:
    return InputError("a recording must say its text, word by word", found, "check that the two belong together")


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
