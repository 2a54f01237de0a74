"""An offline judge of speech: a recogniser that knows which texts may occur, and the error rate of its words.

The judge is pocketsphinx with a bigram language model of the texts at hand. It tells intelligible speech from
unintelligible speech; with its vocabulary restricted like this it is no open-domain recogniser.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np

from smoltolk.common.errors import InputError, require
from smoltolk.common.seeds import generator
from smoltolk.common.workers import num_cpus, parallel_map
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample
from smoltolk.speech.language_model import bigram_arpa, dictionary
from smoltolk.speech.spelling import spoken_words

_PURPOSE = "the offline judge"
_PADDING_SECONDS = 0.25  # silence on both sides: a recogniser misses words that begin with the recording
# The acoustic model has never met digital silence or a spectrum with holes: the WER of one clear espeak voice
# is 38% as it comes and 0% with noise 30 dB below the speech.
_LEVEL, _NOISE_DECIBELS = 0.05, -30
# The search that does not share the beginnings of words errs less (2% instead of 7% of words at 900 pronunciations),
# but its time grows with their number: 12 x real time there, 5 at 3,000 where the other has 13.
_FLAT_SEARCH_WORDS = 1_000
_NUM_RESAMPLES = 1_000


def normalise(text: str) -> str:
    """The words that are said, in lower case and without punctuation; numbers spelled out."""
    return " ".join(word.lower() for token in text.split() for word in spoken_words(token))


class PocketsphinxJudge:
    """Speech to text over the vocabulary of given texts.

    Args:
        texts: what may be said. Their words are the vocabulary, their pairs of words the language model.
            Words that CMUdict lacks are pronounced by rule.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
        InputError: no text has a word.
    """

    def __init__(self, texts: Sequence[str]):
        require("pocketsphinx", _PURPOSE)
        sentences = [words for words in (normalise(text).split() for text in texts) if words]
        if not sentences:
            raise InputError("the judge needs texts with words", f"{len(texts)} texts without any", "give it the texts")
        self._language_model = bigram_arpa(sentences)
        self._dictionary = dictionary(sorted({word for words in sentences for word in words}))
        self._decoder: Any = None  # made at first use: it cannot be pickled

    def transcribe(self, waveform: np.ndarray, sample_rate: int = SAMPLE_RATE) -> str:
        """The words heard, normalised; empty if none. A function of the waveform only, not of earlier ones.

        Args:
            waveform: float [samples], full scale at 1.
            sample_rate: its samples per second.

        Raises:
            InputError: samples that are not finite.
        """
        if self._decoder is None:
            self._decoder = _make_decoder(self._language_model, self._dictionary)
        pcm = _prepare(resample(waveform, sample_rate, SAMPLE_RATE))
        self._decoder.reinit_feat()  # forget the noise and the mean of the utterance before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_decoder": None}


def _prepare(waveform: np.ndarray) -> bytes:
    if not np.isfinite(waveform).all():
        raise InputError("a waveform must be finite", "it has NaN or infinite samples", "look at what made it")
    loudness = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0
    padded = np.pad(waveform / max(loudness, 1e-6) * _LEVEL, num_samples(_PADDING_SECONDS))
    noise = generator(0, "judge noise").standard_normal(len(padded)) * _LEVEL * 10 ** (_NOISE_DECIBELS / 20)
    return (np.clip(padded + noise, -1, 1) * 32767).round().astype("<i2").tobytes()


def transcribe_all(waveforms: Sequence[np.ndarray], texts: Sequence[str], workers: int | None = None) -> list[str]:
    """Transcribe waveforms of 16 kHz in worker processes, each with a judge of ``texts``.

    Args:
        waveforms: each float [samples].
        texts: what may be said, for the language model; not paired with the waveforms.
        workers: processes; None means one per processor, 0 this process.
    """
    judge = PocketsphinxJudge(texts)
    workers = min(num_cpus() if workers is None else workers, len(waveforms))
    return list(parallel_map(_transcribe, waveforms, workers=workers, initializer=_install_judge, initargs=(judge,)))


_judges: list[PocketsphinxJudge] = []  # the one of this worker process


def _install_judge(judge: PocketsphinxJudge) -> None:
    _judges[:] = [judge]


def _transcribe(waveform: np.ndarray) -> str:
    return _judges[0].transcribe(waveform)


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """How far transcripts are from what was said.

    Args:
        wer: word errors per word of the references.
        cer: character errors per character of the references.
        low, high: 95% interval of the WER, by bootstrap over utterances.
        num_words, num_utterances: size of the references.
    """

    wer: float
    cer: float
    low: float
    high: float
    num_words: int
    num_utterances: int


def error_rate(references: Sequence[str], hypotheses: Sequence[str], seed: int = 0) -> ErrorRate:
    """Word and character error rate, both sides normalised alike.

    Args:
        references: what was said.
        hypotheses: what was heard, as many.
        seed: of the bootstrap.

    Raises:
        InputError: lists of different lengths, no utterance, or a reference without words.
    """
    if len(references) != len(hypotheses) or not references:
        raise InputError(
            "error rates need one transcript per reference",
            f"{len(references)} references, {len(hypotheses)} transcripts",
            "transcribe every utterance once",
        )
    said, heard = [normalise(text) for text in references], [normalise(text) for text in hypotheses]
    for reference, text in zip(said, references, strict=True):
        if not reference:
            raise InputError("every reference must have a word", repr(text), "leave this utterance out")
    per_utterance = [jiwer.process_words(one, other) for one, other in zip(said, heard, strict=True)]
    errors = np.array([counts.substitutions + counts.deletions + counts.insertions for counts in per_utterance])
    words = np.array([len(reference.split()) for reference in said])
    picks = generator(seed, "error_rate").integers(len(said), size=(_NUM_RESAMPLES, len(said)))
    low, high = np.quantile(errors[picks].sum(1) / words[picks].sum(1), [0.025, 0.975])
    return ErrorRate(
        wer=float(errors.sum() / words.sum()),
        cer=float(jiwer.cer(said, heard)),
        low=float(low),
        high=float(high),
        num_words=int(words.sum()),
        num_utterances=len(said),
    )


def _make_decoder(language_model: str, pronunciations: str) -> Any:
    pocketsphinx = require("pocketsphinx", _PURPOSE)
    with tempfile.TemporaryDirectory(prefix="judge-") as directory:
        lm, words = Path(directory) / "texts.arpa", Path(directory) / "words.dict"
        lm.write_text(language_model, encoding="utf-8")
        words.write_text(pronunciations, encoding="utf-8")
        return pocketsphinx.Decoder(
            hmm=pocketsphinx.get_model_path("en-us/en-us"),
            lm=str(lm),
            dict=str(words),
            fwdtree=pronunciations.count("\n") > _FLAT_SEARCH_WORDS,
            cmn="batch",
            loglevel="FATAL",
        )
