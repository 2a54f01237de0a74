"""Speech and what is said when: what every synthesizer gives, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.segments import Segment
from smoltolk.speech.spelling.readings import Words, spoken, spoken_words
from smoltolk.speech.spelling.sentences import ends_sentence

# After every sentence, the last one too: a text's speech is the beginning of a longer text's.
PAUSE_SECONDS = 0.2
MARKS = ".!?,;:"


@dataclass(frozen=True, slots=True)
class Spoken:
    """Speech and what is said when.

    Args:
        waveform: float32 [samples], within [-1, 1].
        sample_rate: samples per second.
        words: one segment for every whitespace token of the text, as written, in order.
        phones: segments named by ``phones.PHONES``; they tile the waveform from 0 to its end. Empty if the
            synthesizer does not tell them.
    """

    waveform: np.ndarray
    sample_rate: int
    words: tuple[Segment, ...]
    phones: tuple[Segment, ...]


class NamedVoice(Protocol):
    """A way to speak, as a frozen dataclass of plain values.

    Attributes:
        name: letters, digits and ``+ - . _``; the same for equal voices only.
    """

    @property
    def name(self) -> str: ...


VoiceOf = TypeVar("VoiceOf", bound=NamedVoice, contravariant=True)


class Synthesizer(Protocol[VoiceOf]):
    """Text to speech with the times of words; can be sent to worker processes.

    Attributes:
        name: what ``synthesizers.synthesizer_named`` knows it by.
        sample_rate: of what it speaks.
        workers: processes that suit it; None means one per processor, 0 this one.
    """

    name: str
    sample_rate: int
    workers: int | None

    def speak(self, text: str, voice: VoiceOf) -> Spoken:
        """Speak a text: a function of these two alone. InputError where it cannot be spoken."""

    def num_voices(self, split: str) -> int:
        """How many different voices there are of ``"seen"`` or ``"unseen"``; InputError for another split."""

    def voices(self, count: int, seed: int, split: str) -> Sequence[NamedVoice]:
        """Different voices of a split, a function of the seed; InputError if there are fewer."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Part of a text that is spoken at once.

    Args:
        tokens: as written.
        said: the words that are said for each.
    """

    tokens: tuple[str, ...]
    said: tuple[Words, ...]


def by_sentence(text: str, longest: int, speak_sentence: Callable[[Sentence], Spoken]) -> Spoken:
    """Speak a text sentence by sentence.

    Args:
        text: with a word at least.
        longest: characters of what is said after which a sentence ends anyhow.
        speak_sentence: a sentence to its speech, all at one rate.
    """
    waveforms: list[np.ndarray] = []
    words: list[Segment] = []
    phones: list[Segment] = []
    offset = 0.0
    for sentence in sentences(text.split(), longest):
        part = speak_sentence(sentence)
        words += _later(part.words, offset)
        phones += _later(part.phones, offset)
        waveforms.append(part.waveform)
        offset = sum(map(len, waveforms)) / part.sample_rate
    return Spoken(np.concatenate(waveforms), part.sample_rate, tuple(words), tuple(phones))


def _later(segments: Sequence[Segment], seconds: float) -> list[Segment]:
    # Rounded, so that neighbours still meet after the addition; a sample's time has seven digits.
    return [Segment(one.text, round(seconds + one.start, 7), round(seconds + one.end, 7)) for one in segments]


def check_says_something(text: str, language: str = "en") -> None:
    """Hold a text against what can be spoken.

    Raises:
        InputError: no word in it.
    """
    if not spoken_words(text, language):
        raise InputError("a text to speak must have a word", repr(text), "drop it from the list")


def sentences(tokens: Sequence[str], longest: int, language: str = "en") -> list[Sentence]:
    """A text, sentence by sentence.

    Args:
        tokens: of the text.
        longest: characters of what is said after which a sentence ends anyhow.
        language: ISO 639-1, of the spelling.
    """
    found: list[list[tuple[str, Words]]] = [[]]
    length = 0  # of what is said in the last one
    for token, words in zip(tokens, spoken(tokens, language), strict=True):
        # Tokens with nothing to say before or after a sentence stay with it: nobody is asked to speak nothing.
        if words and length and (ends_sentence(found[-1][-1][0]) or length > longest):
            found.append([])
            length = 0
        found[-1].append((token, words))
        length += sum(2 + len(word) for word in words)
    return [Sentence(tuple(t for t, _ in own), tuple(w for _, w in own)) for own in found]


def said_form(sentence: Sentence, join: str = " ") -> tuple[str, list[int], list[int]]:
    """A sentence as it is said, numbers spelled out, with the marks that shape its tune.

    Args:
        sentence: with a word at least.
        join: what to put between words.

    Returns:
        The text, the place of each said word in it, and the token that each belongs to.
    """
    text = ""
    starts: list[int] = []
    owners: list[int] = []
    for index, (token, words) in enumerate(zip(sentence.tokens, sentence.said, strict=True)):
        for word in words:
            text += join if text else ""
            starts.append(len(text))
            owners.append(index)
            text += word
        mark = _mark(token)
        if mark and text:
            text = text.rstrip(MARKS) + mark
    return text if text[-1] in ".!?" else text + ".", starts, owners


def _mark(token: str) -> str:
    bare = token.rstrip("\"')]}\u2019\u201d")
    if ends_sentence(token):
        return bare[-1]
    return bare[-1] if bare[-1:] in tuple(",;:") else "," if bare.strip("-\u2013\u2014") == "" else ""
