"""Words and phones that pocketsphinx finds in stretches of one recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from smoltolk.common.errors import require
from smoltolk.speech.alignment.aligned_words import AlignedWord, merge_vowels, mismatch
from smoltolk.speech.alignment.windows import Ways
from smoltolk.speech.audio import num_samples
from smoltolk.speech.recognition.language_model import dictionary
from smoltolk.speech.recognition.sphinx_recognition import prepare

PURPOSE = "the offline aligner"
_FRAME_RATE = 100
_PADDING_SECONDS = 0.25  # put on both sides by the judge's preparation
# Frame k sees 25.6 ms from k * 10 ms on, so the border before it lies later than k * 10 ms; espeak's times agree best
# with half a frame.
_BORDER_SECONDS = 0.005
# Scores are logarithms to the base 1.0001, divided by 1024.
_NATS = 0.1024
_SILENCE, _NO_WORD = "<sil>", "<[+"  # and how the names of silences and noises begin
# The usual beams are narrower, above all that of words, and lose right texts: at 1e-48 still a word of a poor voice in
# some hundreds, and with it all that follow. The wide one finds a way through any sound, for windows in which the other
# got lost.
_BEAM, _WIDE_BEAM = 1e-64, 1e-140
_LOOP, _LOOP_BEAM = "phones", 1e-20  # any phones, one after the other
_SETTINGS: dict[str, Any] = {
    "cmn": "batch",
    "loglevel": "FATAL",
    # The best path through a lattice puts an end of one frame behind the last word, which the second pass cannot align.
    "bestpath": False,
    # A pause costs nothing: otherwise a soft consonant ("The") is stretched over the pause before it.
    "silprob": 1.0,
    "lw": 1.0,
}


class Found(NamedTuple):
    """A word as the decoder found it: first frame, frame behind the last, and score in nats."""

    word: str
    begin: int
    behind: int
    score: float


class SphinxDecoder:
    """Pocketsphinx with a dictionary that grows; it cannot be pickled.

    Args:
        strict: hold scores against those of the likeliest phones, whatever they spell. Otherwise a frame is held
            against what the text leaves open there, of a short text little else than itself. It finds the same words,
            in more than three times the time.
    """

    def __init__(self, strict: bool = False) -> None:
        self._strict = strict
        sphinx = require("pocketsphinx", PURPOSE)
        model, known = (sphinx.get_model_path(f"en-us/{name}") for name in ("en-us", "cmudict-en-us.dict"))
        self._decoder: Any = sphinx.Decoder(
            hmm=model, dict=known, lm=None, compallsen=strict, allphone_ci=strict, **_SETTINGS
        )
        self._known: set[str] = set()
        if strict:
            self._set_beams(_LOOP_BEAM)
            self._decoder.add_allphone_file(_LOOP)

    def learn(self, words: Sequence[str]) -> None:
        """Take in every pronunciation of words that it has not met."""
        new = sorted(set(words) - self._known)
        for line in dictionary(new).splitlines() if new else ():
            name, _, phones = line.partition(" ")
            if self._decoder.lookup_word(name) is None:
                self._decoder.add_word(name, phones, False)
        self._known.update(new)

    def words(self, pcm: bytes, said: Sequence[Ways], *, whole: bool, widely: bool) -> list[Found]:
        """What is found: the first of ``said``, each in the likeliest of its ways.

        Args:
            pcm: 16 bits, 16 kHz.
            said: what may be said, each in several ways perhaps.
            whole: all of it must be; otherwise the recording may end after any word.
            widely: with the wide beam.

        Raises:
            RuntimeError: no way through the recording.
        """
        free = self._free_scores(pcm) if self._strict else None
        decoder, count = self._decoder, len(said)
        steps = _steps(said)
        if not whole:  # the padding is silence; the second pass cannot align a step without a sound
            steps += [(place, count, 1.0, _SILENCE) for place in range(count)]
        self._set_beams(_WIDE_BEAM if widely else _BEAM)
        decoder.add_fsg("text", decoder.create_fsg("text", 0, count, steps))
        decoder.activate_search("text")
        self._pass(pcm)
        found = [one for one in self._segments() if one.word[0] not in _NO_WORD]
        if free is None:
            return found
        return [one._replace(score=one.score - float(free[one.behind] - free[one.begin])) for one in found]

    def _free_scores(self, pcm: bytes) -> np.ndarray:
        """Scores of the likeliest phones up to each frame, [frames + 1]."""
        self._decoder.activate_search(_LOOP)
        self._pass(pcm)
        frames = [np.full(n, one.score / n) for one in self._segments() if (n := one.behind - one.begin)]
        return np.concatenate([[0.0], *frames]).cumsum()

    def _segments(self) -> list[Found]:
        """What the last search found: words, phones, silences."""
        segments = self._decoder.seg()
        if segments is None:
            raise RuntimeError("no way through it")
        log = self._decoder.get_logmath().log
        return [
            Found(one.word.partition("(")[0] or one.word, one.start_frame, one.end_frame + 1, log(one.ascore) * _NATS)
            for one in segments
        ]

    def _set_beams(self, beam: float) -> None:
        for name in ("beam", "pbeam", "wbeam"):  # each new search reads them
            self._decoder.config[name] = beam

    def phones(self, pcm: bytes) -> list[list[tuple[str, int, int]]]:
        """Name, first frame and frame behind the last of the phones of each word that :meth:`words` found last.

        Raises:
            RuntimeError: they cannot be aligned.
        """
        self._decoder.set_alignment()
        self._pass(pcm)
        # The library's words live only as long as the step of the loop that has them.
        return [
            [(phone.name, phone.start, phone.start + phone.duration) for phone in word]
            for word in self._decoder.get_alignment()
            if word.name[0] not in _NO_WORD
        ]

    def _pass(self, pcm: bytes) -> None:
        self._decoder.reinit_feat()  # forget the utterance before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()


class SphinxSearch:
    """The search that :mod:`smoltolk.speech.alignment.windows` leads through a recording.

    Args:
        decoder: it has learned the words.
        waveform: float [samples], 16 kHz.
        phones: find those of the words that are kept, too.
    """

    def __init__(self, decoder: SphinxDecoder, waveform: np.ndarray, phones: bool):
        self._decoder, self._waveform, self._phones = decoder, waveform, phones
        self._pcm, self._start = b"", 0.0

    def find(self, start: float, end: float, said: Sequence[Ways], *, whole: bool, widely: bool) -> list[AlignedWord]:
        """As in :class:`smoltolk.speech.alignment.windows.Search`."""
        first = num_samples(start)
        self._pcm, self._start = prepare(self._waveform[first : num_samples(end)]), start
        try:
            found = self._decoder.words(self._pcm, said, whole=whole, widely=widely)
        except RuntimeError as error:  # all that the library ever says
            raise mismatch(f"no way through the recording{self._place()} says {_shortened(said)}") from error
        counts = counts_of([one.word for one in found], said)
        if whole and len(counts) != len(said):
            raise mismatch(f"only {len(counts)} of {len(said)} words were found{self._place()}")
        answer, place = [], 0
        for count, ways in zip(counts, said, strict=False):
            own = found[place : place + count]
            place += count
            one = self._word(own[0].begin, own[-1].behind, sum(word.score for word in own))
            if len(ways) > 1:
                one.parts = [(word.word, self._word(*word[1:])) for word in own]
                one.frames = sum(part.frames for _, part in one.parts)
            answer.append(one)
        return answer

    def _word(self, begin: int, behind: int, score: float) -> AlignedWord:
        return AlignedWord([("", self._seconds(begin), self._seconds(behind))], score, behind - begin)

    def keep(self, words: Sequence[AlignedWord]) -> None:
        """Give words their phones, if these are wanted."""
        if not self._phones or not words:
            return
        try:
            found = self._decoder.phones(self._pcm)
        except RuntimeError as error:
            raise mismatch(f"{error}{self._place()}") from error
        single = (one for word in words for one in ([part for _, part in word.parts] or [word]))
        for word, own in zip(single, found, strict=False):
            word.phones = merge_vowels(
                [(name, self._seconds(begin), self._seconds(behind)) for name, begin, behind in own]
            )

    def _seconds(self, frame: int) -> float:
        return max(0.0, self._start + frame / _FRAME_RATE + _BORDER_SECONDS - _PADDING_SECONDS)

    def _place(self) -> str:
        return f" from {self._start:.0f} s on" if self._start else ""


def _steps(said: Sequence[Ways]) -> list[tuple[Any, ...]]:
    """Arcs of a grammar (from, to, probability, word): place k is left by any of the ways of ``said[k]``."""
    steps: list[tuple[Any, ...]] = []
    free = len(said) + 1
    for place, ways in enumerate(said):
        inner: dict[tuple[str, ...], int] = {(): place}  # ways that begin alike share their beginning
        for way in ways:
            for length in range(1, len(way)):
                if way[:length] not in inner:
                    inner[way[:length]] = free
                    steps.append((inner[way[: length - 1]], free, 1.0, way[length - 1]))
                    free += 1
            steps.append((inner[way[:-1]], place + 1, 1.0, way[-1]))
    return steps


def counts_of(found: Sequence[str], said: Sequence[Ways]) -> list[int]:
    """How many of the words found belong to each of ``said``; as many as there are words for.

    Where ways of neighbours leave a choice, they sound alike: any will do.
    """
    ends: list[dict[int, int]] = [{0: 0}]  # behind each of ``said``: words used so far -> before it
    for ways in said:
        after: dict[int, int] = {}
        for way in ways:
            for start in ends[-1]:
                if tuple(found[start : start + len(way)]) == way:
                    after.setdefault(start + len(way), start)
        if not after:
            break
        ends.append(after)
    last = max((number for number, places in enumerate(ends) if len(found) in places), default=0)
    counts: list[int] = []
    place = len(found)
    for before in reversed(ends[1 : last + 1]):
        counts.append(place - before[place])
        place = before[place]
    return counts[::-1]


def _shortened(said: Sequence[Ways]) -> str:
    words = [word for ways in said[:50] for word in ways[0]]
    text = " ".join(words)
    return repr(text if len(text) <= 60 and len(said) <= 50 else f"{text[:40]} ... {said[-1][0][-1][-20:]}")
