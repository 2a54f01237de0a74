"""An offline judge of speech: a recogniser that knows which texts may occur.

It is pocketsphinx with a bigram language model of the texts at hand. It tells intelligible speech from
unintelligible speech; with its vocabulary restricted like this it is no open-domain recogniser.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, require
from smoltolk.common.seeds import generator
from smoltolk.common.workers import num_cpus, parallel_map
from smoltolk.speech.audio import SAMPLE_RATE, check_waveform, num_samples, resample
from smoltolk.speech.recognition.error_rate import normalise
from smoltolk.speech.recognition.language_model import bigram_arpa, dictionary

_PURPOSE = "the offline judge"
_PADDING_SECONDS = 0.25  # silence on both sides: a recogniser misses words that begin with the recording
# The acoustic model has never met digital silence or a spectrum with holes: the WER of one clear espeak voice
# is 38% as it comes and 0% with noise 30 dB below the speech.
_LEVEL, _NOISE_DECIBELS = 0.05, -30
# The search that does not share the beginnings of words errs less (2% instead of 7% of words at 900 pronunciations),
# but its time grows with their number: 12 x real time there, 5 at 3,000 where the other has 13.
_FLAT_SEARCH_WORDS = 1_000


class PocketsphinxJudge:
    """Speech to text over the vocabulary of given texts.

    Args:
        texts: what may be said. Their words are the vocabulary, their pairs of words the language model.
            Words that CMUdict lacks are pronounced by rule.
        workers: processes for many waveforms; None means one per processor, 0 this process.

    Raises:
        MissingExtraError: the extra ``judge`` is not installed.
        InputError: no text has a word.
    """

    name = "pocketsphinx"

    def __init__(self, texts: Sequence[str], workers: int | None = None):
        require("pocketsphinx", _PURPOSE)
        sentences = [words for words in (normalise(text).split() for text in texts) if words]
        if not sentences:
            raise InputError("the judge needs texts with words", f"{len(texts)} texts without any", "give it the texts")
        self._language_model = bigram_arpa(sentences)
        self._dictionary = dictionary(sorted({word for words in sentences for word in words}))
        self._workers = workers
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
        pcm = prepare(resample(waveform, sample_rate, SAMPLE_RATE))
        self._decoder.reinit_feat()  # forget the noise and the mean of the utterance before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    def transcribe_batch(self, waveforms: Sequence[np.ndarray], sample_rate: int = SAMPLE_RATE) -> list[str]:
        """:meth:`transcribe` for many, in worker processes."""
        workers = min(num_cpus() if self._workers is None else self._workers, len(waveforms))
        jobs = [(waveform, sample_rate) for waveform in waveforms]
        return list(parallel_map(_transcribe, jobs, workers=workers, initializer=_install_judge, initargs=(self,)))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_decoder": None}


def prepare(waveform: np.ndarray) -> bytes:
    """A waveform of 16 kHz as pocketsphinx understands it best: 16 bits, padded, at one level, with a little noise.

    Raises:
        InputError: no samples, or some that are not finite.
    """
    check_waveform(waveform)
    loudness = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0
    padded = np.pad(waveform / max(loudness, 1e-6) * _LEVEL, num_samples(_PADDING_SECONDS))
    noise = generator(0, "judge noise").standard_normal(len(padded)) * _LEVEL * 10 ** (_NOISE_DECIBELS / 20)
    return (np.clip(padded + noise, -1, 1) * 32767).round().astype("<i2").tobytes()


_judges: list[PocketsphinxJudge] = []  # the one of this worker process


def _install_judge(judge: PocketsphinxJudge) -> None:
    _judges[:] = [judge]


def _transcribe(job: tuple[np.ndarray, int]) -> str:
    return _judges[0].transcribe(*job)


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
