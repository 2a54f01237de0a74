"""Text to speech with exact times of words and phones, offline: espeak-ng in many voices."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from smoltolk.common.errors import InputError, MissingExtraError, require
from smoltolk.speech import espeak
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample
from smoltolk.speech.phones import SILENCE, phone_class
from smoltolk.speech.segments import Segment
from smoltolk.speech.spelling.characters import check_english
from smoltolk.speech.synthesis.spoken import (
    MARKS,
    PAUSE_SECONDS,
    Sentence,
    Spoken,
    by_sentence,
    check_says_something,
    said_form,
)
from smoltolk.speech.synthesis.voices import Voice, num_voices, voices

__all__ = ["PAUSE_SECONDS", "EspeakSynthesizer", "Spoken", "Voice", "espeak_available", "voices"]

# Some pairs ("in the", "it was") are one entry of espeak's dictionary, with one event: a no-break space
# parts them.
_JOIN = " \u00a0"
_LONGEST_SENTENCE = 450  # characters: espeak loses words of a clause of more than about 580


class EspeakSynthesizer:
    """espeak-ng: the same text and voice give the same samples, in any process and any order."""

    name = "espeak"
    sample_rate = SAMPLE_RATE
    workers: int | None = None

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
        check_english(text)
        check_says_something(text)
        return by_sentence(text, _LONGEST_SENTENCE, lambda sentence: _speak_sentence(sentence, voice))

    def num_voices(self, split: str) -> int:
        """See :func:`smoltolk.speech.synthesis.voices.num_voices`."""
        return num_voices(split)

    def voices(self, count: int, seed: int, split: str) -> list[Voice]:
        """See :func:`smoltolk.speech.synthesis.voices.voices`."""
        return voices(count, seed, split)


def espeak_available() -> bool:
    """Whether the extra ``tts`` is installed."""
    try:
        require("espeakng_loader", "speech synthesis")
    except MissingExtraError:
        return False
    return True


def _speak_sentence(sentence: Sentence, voice: Voice) -> Spoken:
    text, starts, owners = said_form(sentence, _JOIN)
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
            _find_missing(phones, index, text[start:].split()[0].rstrip(MARKS), voice)
    waveform = resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE)
    waveform = np.concatenate([waveform, np.zeros(num_samples(PAUSE_SECONDS), dtype=np.float32)])
    owned = [(phone, start, owners[word]) for phone, start, word in phones]
    words, tiles = _close(sentence.tokens, owned, len(samples) / rate, len(waveform) / SAMPLE_RATE)
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
