"""Text to speech with exact times of words and phones, offline: espeak-ng in many voices."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.common.errors import InputError, MissingExtraError, require
from smoltolk.common.seeds import generator
from smoltolk.speech import espeak
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample
from smoltolk.speech.phones import SILENCE, phone_class
from smoltolk.speech.segments import Segment
from smoltolk.speech.spelling import ends_sentence, spoken_words

ACCENTS = (
    "en-us",
    "en-gb",
    "en-gb-x-rp",
    "en-us-nyc",
    "en-029",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
_ESPEAK_NAMES = {"en-gb": "en"}  # the file's name: "en-gb+f3" is not found, "en+f3" is
# Clean variants of espeak-ng 1.52: robots, whispers and croaks are left out.
SEEN_VARIANTS = (
    "m1",
    "f2",
    "m3",
    "f3",
    "m7",
    "f4",
    "Alex",
    "Andrea",
    "adam",
    "linda",
    "ed",
    "steph",
    "Lee",
    "Gene",
    "Michael",
    "belinda",
    "max",
    "klatt4",
    "Andy",
    "paul",
)
UNSEEN_VARIANTS = ("m2", "f1", "m4", "f5", "antonio", "anika", "rob", "steph3", "Denis", "edward2")
_RATES, _PITCHES = (150, 190), (35, 65)
# After every sentence, the last one too: a text's speech is the beginning of a longer text's.
PAUSE_SECONDS = 0.2
# Some pairs ("in the", "it was") are one entry of espeak's dictionary, with one event: a no-break space
# parts them.
_JOIN = " \u00a0"
_MARKS = ".!?,;:"


@dataclass(frozen=True, slots=True)
class Voice:
    """A way to speak.

    Args:
        accent: one of :data:`ACCENTS`.
        variant: a variant of espeak-ng, e.g. ``"f3"``; empty for the plain voice.
        rate: words per minute, 80 to 450.
        pitch: 0 to 100.
    """

    accent: str = "en-us"
    variant: str = ""
    rate: int = 170
    pitch: int = 50

    def __post_init__(self) -> None:
        if self.accent not in ACCENTS:
            raise InputError(
                f"the accent is one of {', '.join(ACCENTS)}", repr(self.accent), "choose one of these"
            )
        if not (80 <= self.rate <= 450 and 0 <= self.pitch <= 100):
            raise InputError(
                "a voice speaks 80 to 450 words per minute at a pitch of 0 to 100",
                f"rate {self.rate}, pitch {self.pitch}",
                "choose values in this range",
            )

    @property
    def name(self) -> str:
        """``accent+variant-rate-pitch``, the same for equal voices only."""
        return f"{self.accent}+{self.variant}-{self.rate}-{self.pitch}"


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
            start = offset / SAMPLE_RATE
            words += [Segment(one.text, start + one.start, start + one.end) for one in part.words]
            phones += [Segment(one.text, start + one.start, start + one.end) for one in part.phones]
            offset += len(part.waveform)
        return Spoken(np.concatenate(waveforms), SAMPLE_RATE, tuple(words), tuple(phones))


def espeak_available() -> bool:
    """Whether the extra ``tts`` is installed."""
    try:
        require("espeakng_loader", "speech synthesis")
    except MissingExtraError:
        return False
    return True


def voices(count: int, seed: int, split: str) -> list[Voice]:
    """Different voices: variants x accents, with a rate and a pitch of their own.

    Args:
        count: how many.
        seed: the choice is a function of it; the first voices of a longer list are those of a shorter one.
        split: ``"seen"`` or ``"unseen"``; the two have no variant in common.

    Raises:
        InputError: another split, or more voices than variants x accents.
    """
    if split not in ("seen", "unseen"):
        raise InputError("a split of voices is 'seen' or 'unseen'", repr(split), "choose one of the two")
    variants = SEEN_VARIANTS if split == "seen" else UNSEEN_VARIANTS
    if not 0 <= count <= len(variants) * len(ACCENTS):
        raise InputError(
            f"the split {split!r} has 0 to {len(variants) * len(ACCENTS)} voices", f"{count}", "ask for fewer"
        )
    random = generator(seed, "voices", split)
    by_chance, accent_shift = random.permutation(len(variants)), int(random.integers(len(ACCENTS)))
    chosen = []
    for i in range(count):
        lap, place = divmod(i, len(variants))
        # Every variant once per lap; accents go round, one further with each lap, so no pair comes twice.
        accent = ACCENTS[(place + lap + accent_shift) % len(ACCENTS)]
        rate, pitch = (int(random.integers(low, high + 1)) for low, high in (_RATES, _PITCHES))
        chosen.append(Voice(accent, variants[by_chance[place]], rate, pitch))
    return chosen


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
    speakable = False
    for token in tokens:
        # Tokens with nothing to say before or after a sentence stay with it: espeak gets no empty call.
        if speakable and ends_sentence(sentences[-1][-1]) and spoken_words(token):
            sentences.append([])
            speakable = False
        sentences[-1].append(token)
        speakable = speakable or bool(spoken_words(token))
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
    accent = _ESPEAK_NAMES.get(voice.accent, voice.accent)
    name = f"{accent}+{voice.variant}" if voice.variant else accent
    samples, rate, events = espeak.say(text, name, voice.rate, voice.pitch)
    phones: list[tuple[str, float, int]] = []  # class, start in seconds, token that it belongs to
    word, word_start, heard = -1, None, set()
    for event in events:
        if event.type == espeak.WORD:
            word, word_start = bisect_right(starts, event.position) - 1, event.sample
            continue
        phone = phone_class(event.name, voice.accent)
        if phone != SILENCE:
            heard.add(word)
        # The closure of a first stop lies between the word's event and the phone's: it belongs to the phone.
        begin = event.sample if word_start is None or phone == SILENCE else word_start
        word_start = None
        phones.append((phone, begin / rate, owners[word]))
    for index, start in enumerate(starts):
        if index not in heard:
            raise InputError(
                "espeak-ng must give every word a time",
                f"none for {text[start:].split()[0]!r} in {' '.join(tokens)!r} ({voice.name})",
                "write the word in another way",
            )
    waveform = resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE)
    waveform = np.concatenate([waveform, np.zeros(num_samples(PAUSE_SECONDS), dtype=np.float32)])
    return Spoken(
        waveform, SAMPLE_RATE, *_close(tokens, phones, len(samples) / rate, len(waveform) / SAMPLE_RATE)
    )


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
