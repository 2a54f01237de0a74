"""An offline judge of speech: a recogniser that knows which texts may occur, and the error rate of its words.

The judge is pocketsphinx with a bigram language model of the texts at hand. It tells intelligible speech from
unintelligible speech; with its vocabulary restricted like this it is no open-domain recogniser.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import jiwer
import numpy as np

from smoltolk.common.errors import InputError, require
from smoltolk.common.seeds import generator
from smoltolk.common.workers import num_cpus, parallel_map
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample
from smoltolk.speech.pronunciation import pronounce
from smoltolk.speech.spelling import spoken_words

_PURPOSE = "the offline judge"
_PADDING_SECONDS = 0.25  # silence on both sides: a recogniser misses words that begin with the recording
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
            raise InputError(
                "the judge needs texts with words", f"{len(texts)} texts without any", "give it the texts"
            )
        self._language_model = bigram_arpa(sentences)
        self._dictionary = _dictionary(sorted({word for words in sentences for word in words}))
        self._decoder: Any = None  # made at first use: it cannot be pickled

    def transcribe(self, waveform: np.ndarray, sample_rate: int = SAMPLE_RATE) -> str:
        """The words heard, normalised; empty if none. A function of the waveform only, not of earlier ones.

        Args:
            waveform: float [samples], full scale at 1.
            sample_rate: its samples per second.
        """
        if self._decoder is None:
            self._decoder = _make_decoder(self._language_model, self._dictionary)
        silence = np.zeros(num_samples(_PADDING_SECONDS), dtype=np.float32)
        padded = np.concatenate([silence, resample(waveform, sample_rate, SAMPLE_RATE), silence])
        pcm = (np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_decoder": None}


def transcribe_all(
    waveforms: Sequence[np.ndarray], texts: Sequence[str], workers: int | None = None
) -> list[str]:
    """Transcribe waveforms of 16 kHz in worker processes, each with a judge of ``texts``.

    Args:
        waveforms: each float [samples].
        texts: what may be said, for the language model; not paired with the waveforms.
        workers: processes; None means one per processor, 0 this process.
    """
    judge = PocketsphinxJudge(texts)
    workers = min(num_cpus() if workers is None else workers, len(waveforms))
    return list(
        parallel_map(_transcribe, waveforms, workers=workers, initializer=_install_judge, initargs=(judge,))
    )


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
    errors = np.array(
        [counts.substitutions + counts.deletions + counts.insertions for counts in per_utterance]
    )
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


def bigram_arpa(sentences: Sequence[Sequence[str]]) -> str:
    """A bigram language model in the ARPA format: Witten-Bell smoothing, unigrams with one added count.

    Args:
        sentences: non-empty lists of words.
    """
    padded = [["<s>", *words, "</s>"] for words in sentences]
    unigrams = Counter(word for words in padded for word in words[1:])
    bigrams = Counter(pair for words in padded for pair in pairwise(words))
    contexts = Counter(word for words in padded for word in words[:-1])
    followers = Counter(first for first, _ in bigrams)
    total = sum(unigrams.values()) + len(unigrams)
    probability = {word: (count + 1) / total for word, count in unigrams.items()}
    seen_mass: Counter[str] = Counter()  # unigram mass of the words that follow a context
    for first, second in bigrams:
        seen_mass[first] += probability[second]  # type: ignore[assignment]

    def backoff(word: str) -> float:
        novelty = followers[word] / (contexts[word] + followers[word])
        return novelty / max(1e-6, 1 - seen_mass[word])

    lines = ["\\data\\", f"ngram 1={len(unigrams) + 1}", f"ngram 2={len(bigrams)}", "", "\\1-grams:"]
    lines.append(f"-99.0 <s> {math.log10(backoff('<s>')):.5f}")
    for word in sorted(unigrams):
        weight = f" {math.log10(backoff(word)):.5f}" if word != "</s>" else ""
        lines.append(f"{math.log10(probability[word]):.5f} {word}{weight}")
    lines += ["", "\\2-grams:"]
    for (first, second), count in sorted(bigrams.items()):
        share = count / (contexts[first] + followers[first])
        lines.append(f"{math.log10(share):.5f} {first} {second}")
    return "\n".join([*lines, "", "\\end\\", ""])


@cache
def _cmudict() -> dict[str, list[str]]:
    """Pronunciations by word; variants such as ``read(2)`` under their word."""
    path = Path(require("pocketsphinx", _PURPOSE).get_model_path("en-us/cmudict-en-us.dict"))
    entries: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        entries.setdefault(word.partition("(")[0] or word, []).append(phones)
    return entries


def _dictionary(vocabulary: Sequence[str]) -> str:
    lines = []
    for word in vocabulary:
        known = _cmudict().get(word) or [" ".join(pronounce(word))]
        lines += [f"{word}{f'({n})' if n > 1 else ''} {phones}" for n, phones in enumerate(known, 1)]
    return "\n".join(lines) + "\n"


def _make_decoder(language_model: str, dictionary: str) -> Any:
    pocketsphinx = require("pocketsphinx", _PURPOSE)
    with tempfile.TemporaryDirectory(prefix="judge-") as directory:
        lm, words = Path(directory) / "texts.arpa", Path(directory) / "words.dict"
        lm.write_text(language_model, encoding="utf-8")
        words.write_text(dictionary, encoding="utf-8")
        # Batch normalisation of the cepstra: the live kind carries a mean over to the next utterance.
        return pocketsphinx.Decoder(
            hmm=pocketsphinx.get_model_path("en-us/en-us"),
            lm=str(lm),
            dict=str(words),
            cmn="batch",
            loglevel="FATAL",
        )
