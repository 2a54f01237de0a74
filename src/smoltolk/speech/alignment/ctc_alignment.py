"""Forced alignment with any CTC model of transformers: for every language and accent that has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligned_words import Alignment, check_length, coverage_of
from smoltolk.speech.alignment.ctc_readings import likeliest_readings, path_of
from smoltolk.speech.audio import SAMPLE_RATE, check_waveform, resample
from smoltolk.speech.pauses import loud_frames
from smoltolk.speech.recognition.ctc_emissions import CtcEmissions
from smoltolk.speech.recognition.ctc_text import STAR, CtcVocabulary
from smoltolk.speech.segments import Segment
from smoltolk.speech.spelling.readings import readings

LONGEST_SECONDS = 3600  # the time of the trellis grows with the square: 40 s of one core here
# A star may stand for any sound, at the posterior of the likeliest id of each frame and a little less: what a known
# letter can say, it says.
_STAR_NATS = -0.1
# These models are sure of a letter in the middle of its sound: words begin and end so much further out, where there is
# room. With one trained on synthetic speech: 26 ms too late and 23 ms too early without, see docs/log.md.
_SPIKE_SECONDS = 0.02


class CtcAligner:
    """Texts to their recordings, by a model that was trained to write.

    Args:
        name: hub id or directory of a model of ``AutoModelForCTC``, its feature extractor and its tokenizer.
        language: of the texts, ISO 639-1; numbers are spelled out in it.
        device: of torch; default: a GPU if there is one.
        batch_size: windows of 30 s that are computed together.

    Raises:
        NotFoundError, InputError: no such model, not one with CTC, or a vocabulary without letters.
    """

    lowest_confidence = 0.5  # below it text and recording hardly belong together

    def __init__(self, name: str, language: str = "en", device: str | None = None, batch_size: int = 8):
        self.name = str(name)
        self._arguments = (self.name, language, device, batch_size)
        self._emissions = CtcEmissions(self.name, device, batch_size)
        self._vocabulary = CtcVocabulary(self._emissions.tokenizer, language)

    def align(self, waveform: np.ndarray, text: str, sample_rate: int = SAMPLE_RATE) -> Alignment:
        """Find every word of a text. The result depends on these two alone.

        Args:
            waveform: float [samples], full scale at 1, at most :data:`LONGEST_SECONDS`.
            text: what is said; of several readings of a token the likeliest is found. Letters that the model lacks
                are skipped over, and named in ``Alignment.unknown``.
            sample_rate: of the waveform.

        Returns:
            Words without phones. A word lasts from the first to the last frame of its letters, and 20 ms more on both
            sides where its neighbours leave room.

        Raises:
            InputError: no samples or not finite ones, too many of them, no words, or a recording that is too short
                for them.
        """
        found = self.align_batch([waveform], [text], sample_rate)[0]
        if isinstance(found, InputError):
            raise found
        return found

    def align_batch(
        self,
        waveforms: Sequence[np.ndarray],
        texts: Sequence[str],
        sample_rate: int = SAMPLE_RATE,
        report: Callable[[float], None] | None = None,
    ) -> list[Alignment | InputError]:
        """:meth:`align` for many, their windows computed together; what cannot be aligned gives its error.

        ``report`` is called with the seconds that are done, once the model has heard all.
        """
        answers: dict[int, Alignment | InputError] = {}
        wanted: list[tuple[int, np.ndarray]] = []
        for number, (waveform, text) in enumerate(zip(waveforms, texts, strict=True)):
            try:
                check_waveform(waveform)
                check_length(len(waveform) / sample_rate, LONGEST_SECONDS)
                self._vocabulary.encode(text)  # told before anything is computed
                wanted.append((number, resample(waveform, sample_rate, SAMPLE_RATE)))
            except InputError as error:
                answers[number] = error
        emissions = self._emissions([waveform for _, waveform in wanted])
        done = 0.0
        for (number, waveform), log_probs in zip(wanted, emissions, strict=True):
            if report is not None:
                report(done)
            done += len(waveform) / SAMPLE_RATE
            try:
                answers[number] = self._arrange(waveform, texts[number], log_probs)
            except InputError as error:
                answers[number] = error
        return [answers[number] for number in range(len(texts))]

    def _arrange(self, waveform: np.ndarray, written: str, log_probs: np.ndarray) -> Alignment:
        tokens, blank = written.split(), self._emissions.blank
        starred = np.concatenate([log_probs, log_probs.max(axis=1, keepdims=True) + _STAR_NATS], axis=1)
        ways = readings(tokens, self._vocabulary.language)
        said = likeliest_readings(starred, ways, lambda some: self._vocabulary.encode(written, some), blank)
        text = self._vocabulary.encode(written, said)
        path = path_of(starred, text, blank)
        owner = np.where(path >= 0, text.owners[path], -1)  # of each frame, -1 for blanks and between words
        heard = np.flatnonzero((owner >= 0) & (text.ids[path] != STAR))
        nats = log_probs[heard, text.ids[path[heard]]]
        # Means over the frames of each token; NaN where it has none.
        counts = np.bincount(owner[heard], minlength=len(tokens))
        with np.errstate(invalid="ignore"):
            scores = np.bincount(owner[heard], nats, len(tokens)) / counts
            confidences = np.bincount(owner[heard], np.exp(nats), len(tokens)) / counts
        spans = self._spans(owner, len(waveform) / SAMPLE_RATE)
        words: list[Segment] = []
        last = 0.0
        for index, token in enumerate(tokens):
            start, last = spans.get(index, (last, last))  # a dash has no length
            words.append(Segment(token, start, last))
            if index in spans and not counts[index]:
                confidences[index] = 0.0  # all its letters are unknown: nothing speaks for it
        coverage = coverage_of(words, loud_frames(waveform))
        return Alignment(
            words=tuple(words),
            phones=(),
            scores=tuple(scores.tolist()),
            score=float(nats.mean()) if len(nats) else float("nan"),
            coverage=coverage,
            confidences=tuple(confidences.tolist()),
            unknown=text.unknown,
            said=tuple(said),
        )

    def _spans(self, owner: np.ndarray, end: float) -> dict[int, tuple[float, float]]:
        """Start and end in seconds of every token that says something; they come in order.

        Args:
            owner: of each frame, int [frames]; -1 for none.
            end: of the recording, in seconds.
        """
        frames = np.flatnonzero(owner >= 0)
        tokens, first = np.unique(owner[frames], return_index=True)
        last = np.append(first[1:], len(frames)) - 1
        starts = frames[first] * self._emissions.hop / SAMPLE_RATE
        ends = (frames[last] + 1) * self._emissions.hop / SAMPLE_RATE
        room = (np.append(starts, end) - np.append(0.0, ends)).clip(0)  # before each word, and behind the last
        wider = np.minimum(room[1:-1] / 2, _SPIKE_SECONDS)
        starts -= np.append(min(room[0], _SPIKE_SECONDS), wider)
        ends += np.append(wider, min(room[-1], _SPIKE_SECONDS))
        pairs = zip(np.minimum(starts, end).tolist(), np.minimum(ends, end).tolist(), strict=True)
        return dict(zip(tokens.tolist(), pairs, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {"_arguments": self._arguments}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["_arguments"])  # type: ignore[misc]
