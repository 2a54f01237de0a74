"""Text to speech with exact times of words and phones, offline: espeak-ng in many voices."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError, MissingExtraError, require
from smoltolk.speech import espeak
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample
from smoltolk.speech.phones import SILENCE, phone_class
from smoltolk.speech.segments import Segment
from smoltolk.speech.spelling import ends_sentence, spoken_words
from smoltolk.speech.voices import Voice, voices

__all__ = ["EspeakSynthesizer", "Spoken", "Voice", "espeak_available", "voices"]

# After every sentence, the last one too: a text's speech is the beginning of a longer text's.
PAUSE_SECONDS = 0.2
# Some pairs ("in the", "it was") are one entry of espeak's dictionary, with one event: a no-break space
# parts them.
_JOIN = " \u00a0"
_MARKS = ".!?,;:"
_LONGEST_SENTENCE = 450  # characters: espeak loses words of a clause of more than about 580


@dataclass(frozen=True, slots=True)
class Spoken:
    """Speech and what is said when.

    Args:
        waveform: float32 [samples], within [-1, 1].
        sample_rate: samples per second.
        words: one segment for every whitespace token of the text, as written, in order.
        phones: segments named by ``phones.PHONES``; they tile the waveform from 0 to its end.
    """

    waveform: np.ndarray
    sample_rate: int
    words: tuple[Segment, ...]
    phones: tuple[Segment, ...]


class EspeakSynthesizer:
    """espeak-ng: the same text and voice give the same samples, in any process and any order."""

    sample_rate = SAMPLE_RATE

    def speak(self, text: str, voice: Voice) -> Spoken:
        """Speak one or several sentences, each followed by a short pause.

        Args:
            text: English in Latin letters; numbers are spelled out. A token without anything to say (a dash)
                gets a segment of no length where it stands.
            voice: the way to speak it.

        Raises:
            MissingExtraError: the extra ``tts`` is not installed.
            InputError: nothing to say, letters that are not Latin, or a variant that espeak-ng does not have.
        """
        tokens = text.split()
        _check_letters(text)
        if not any(spoken_words(token) for token in tokens):
            raise InputError("a text to speak must have a word", repr(text), "drop it from the list")
        waveforms: list[np.ndarray] = []
        words: list[Segment] = []
        phones: list[Segment] = []
        offset = 0
        for sentence in _sentences(tokens):
            part = _speak_sentence(sentence, voice)
            waveforms.append(part.waveform)
            words += _later(part.words, offset / SAMPLE_RATE)
            phones += _later(part.phones, offset / SAMPLE_RATE)
            offset += len(part.waveform)
        return Spoken(np.concatenate(waveforms), SAMPLE_RATE, tuple(words), tuple(phones))


def espeak_available() -> bool:
    """Whether the extra ``tts`` is installed."""
    try:
        require("espeakng_loader", "speech synthesis")
    except MissingExtraError:
        return False
    return True


def _later(segments: Sequence[Segment], seconds: float) -> list[Segment]:
    # Rounded, so that neighbours still meet after the addition; a sample's time has seven digits.
    return [Segment(one.text, round(seconds + one.start, 7), round(seconds + one.end, 7)) for one in segments]


def _check_letters(text: str) -> None:
    # espeak would switch to another language, whose phonemes have no class here, or read the letter's name.
    for letter in text:
        if letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN"):
            raise InputError(
                "a text to speak must be in Latin letters",
                f"{letter!r} in {text!r}",
                "transcribe or drop the word",
            )


def _sentences(tokens: Sequence[str]) -> list[list[str]]:
    sentences: list[list[str]] = [[]]
    length = 0  # of what is said in the last one
    for token in tokens:
        said = spoken_words(token)
        # Tokens with nothing to say before or after a sentence stay with it: espeak gets no empty call.
        if said and length and (ends_sentence(sentences[-1][-1]) or length > _LONGEST_SENTENCE):
            sentences.append([])
            length = 0
        sentences[-1].append(token)
        length += sum(len(_JOIN) + len(word) for word in said)
    return sentences


def _said_form(tokens: Sequence[str]) -> tuple[str, list[int], list[int]]:
    """The text for espeak, the position of each said word in it, and the token that each belongs to."""
    text = ""
    starts: list[int] = []
    owners: list[int] = []
    for index, token in enumerate(tokens):
        for word in spoken_words(token):
            text += _JOIN if text else ""
            starts.append(len(text))
            owners.append(index)
            text += word
        mark = _mark(token)
        if mark and text:
            text = text.rstrip(_MARKS) + mark
    return text if text[-1] in ".!?" else text + ".", starts, owners


def _mark(token: str) -> str:
    bare = token.rstrip("\"')]}\u2019\u201d")
    if ends_sentence(token):
        return bare[-1]
    return bare[-1] if bare[-1:] in tuple(",;:") else "," if bare.strip("-\u2013\u2014") == "" else ""


def _speak_sentence(tokens: Sequence[str], voice: Voice) -> Spoken:
    text, starts, owners = _said_form(tokens)
    samples, rate, events = espeak.say(text, voice.espeak_name, voice.rate, voice.pitch)
    phones: list[tuple[str, float, int]] = []  # class, start in seconds, said word that it belongs to
    word, word_start = 0, None
    for event in events:
        if event.type == espeak.WORD:
            word, word_start = bisect_right(starts, event.position) - 1, event.sample
            continue
        phone = phone_class(event.name, voice.accent)
        # The closure of a first stop lies between the word's event and the phone's: it belongs to the phone.
        begin = event.sample if word_start is None or phone == SILENCE else word_start
        word_start = None
        phones.append((phone, begin / rate, word))
    for index, start in enumerate(starts):
        if not any(owner == index and phone != SILENCE for phone, _, owner in phones):
            _find_missing(phones, index, text[start:].split()[0].rstrip(_MARKS), voice)
    waveform = resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE)
    waveform = np.concatenate([waveform, np.zeros(num_samples(PAUSE_SECONDS), dtype=np.float32)])
    owned = [(phone, start, owners[word]) for phone, start, word in phones]
    words, tiles = _close(tokens, owned, len(samples) / rate, len(waveform) / SAMPLE_RATE)
    return Spoken(waveform, SAMPLE_RATE, words, tiles)


def _find_missing(phones: list[tuple[str, float, int]], missing: int, word: str, voice: Voice) -> None:
    """Give a word without an event its phones: the last ones that seem to be of the word before.

    An accent that drops a word's first sound (h) drops the word's event with it: about 1 in 3,000 rare words.
    How many phones the word has is heard by speaking it alone.
    """
    _, _, events = espeak.say(word, voice.espeak_name, voice.rate, voice.pitch)
    names = [event.name for event in events if event.type == espeak.PHONEME]
    count = sum(phone_class(name, voice.accent) != SILENCE for name in names)
    before = [at for at, (phone, _, owner) in enumerate(phones) if owner == missing - 1 and phone != SILENCE]
    if not 0 < count < len(before):
        raise InputError(
            "espeak-ng must give every word a time",
            f"none for {word!r} ({voice.name})",
            "write it in another way",
        )
    for at in before[-count:]:
        phone, start, _ = phones[at]
        phones[at] = (phone, start, missing)


def _close(
    tokens: Sequence[str], phones: list[tuple[str, float, int]], sound_end: float, end: float
) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Give every phone and every token its end, the next one's start; the rest up to ``end`` is silence."""
    tiles: list[Segment] = []
    spans: list[tuple[float, float] | None] = [None] * len(tokens)
    starts = [start for _, start, _ in phones[1:]] + [sound_end]
    position = 0.0
    for (phone, _, owner), stop in zip([*phones, (SILENCE, sound_end, 0)], [*starts, end], strict=True):
        if phone != SILENCE:
            first = spans[owner]
            spans[owner] = (first[0] if first else position, stop)
        if stop <= position:
            continue  # espeak marks pauses that have no length
        if phone == SILENCE and tiles and tiles[-1].text == SILENCE:
            tiles[-1] = Segment(SILENCE, tiles[-1].start, stop)
        else:
            tiles.append(Segment(phone, position, stop))
        position = stop
    words, last = [], 0.0
    for token, span in zip(tokens, spans, strict=True):
        start, last = span or (last, last)
        words.append(Segment(token, start, last))
    return tuple(words), tuple(tiles)
