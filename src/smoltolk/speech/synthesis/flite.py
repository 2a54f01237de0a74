"""flite through ctypes: more natural than espeak-ng, with its own times of words and phones.

The library is a system package (``apt install flite``), four American and Scottish voices included. Like espeak-ng it
speaks English only.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.common.seeds import generator
from smoltolk.speech.alignment.aligned_words import AlignedWord, arrange, merge_vowels
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, resample
from smoltolk.speech.espeak import c_library
from smoltolk.speech.phones import PHONES
from smoltolk.speech.spelling.characters import check_english
from smoltolk.speech.synthesis.spoken import (
    PAUSE_SECONDS,
    Sentence,
    Spoken,
    by_sentence,
    check_says_something,
    said_form,
)

SPEAKERS = ("slt", "rms", "awb", "kal16")
_UNSEEN = ("awb",)  # the speaker that no voice for training has
_PACES = (90, 115)  # percent of the speaker's own
_LONGEST_SENTENCE = 450
_PAUSE = "pau"
_ONE_AT_A_TIME = threading.Lock()
# Phones of flite that have another name here.
_CLASSES = {"axr": "ER", "el": "L", "em": "M", "en": "N", "nx": "N", "dx": "T", "hv": "HH"}


@dataclass(frozen=True, slots=True)
class FliteVoice:
    """A way to speak.

    Args:
        speaker: one of :data:`SPEAKERS`.
        pace: percent of the speaker's own, 50 to 200.
    """

    speaker: str = "slt"
    pace: int = 100

    def __post_init__(self) -> None:
        if self.speaker not in SPEAKERS:
            raise InputError(f"a speaker of flite is one of {', '.join(SPEAKERS)}", repr(self.speaker), "choose one")
        if not 50 <= self.pace <= 200:
            raise InputError("a pace is 50 to 200 percent", f"{self.pace}", "choose a value in this range")

    @property
    def name(self) -> str:
        """``flite-speaker-pace``."""
        return f"flite-{self.speaker}-{self.pace}"


class FliteSynthesizer:
    """flite: the same text and voice give the same samples, in any process and any order.

    Raises:
        MissingExtraError: no libflite on this machine.
    """

    name = "flite"
    sample_rate = SAMPLE_RATE
    workers: int | None = None

    def __init__(self) -> None:
        _library()

    def speak(self, text: str, voice: FliteVoice) -> Spoken:
        """Speak one or several sentences, each followed by a short pause.

        Args:
            text: English in Latin letters; numbers are spelled out, accents fall away.
            voice: the way to speak it.

        Raises:
            InputError: nothing to say, or letters that are not Latin.
        """
        check_english(text)
        check_says_something(text)
        return by_sentence(text, _LONGEST_SENTENCE, lambda sentence: _speak_sentence(sentence, voice))

    def num_voices(self, split: str) -> int:
        """How many different voices a split has: a speaker at every pace.

        Args:
            split: ``"seen"`` (three speakers) or ``"unseen"`` (the fourth).

        Raises:
            InputError: another split.
        """
        return len(_speakers_of(split)) * (_PACES[1] - _PACES[0])

    def voices(self, count: int, seed: int, split: str) -> list[FliteVoice]:
        """Speakers in turn, each with a pace of its own.

        Args:
            count: how many; the first of a longer list are those of a shorter one.
            seed: of the paces.
            split: ``"seen"`` or ``"unseen"``; the two have no speaker in common.

        Raises:
            InputError: another split, or more than there are.
        """
        speakers, most = _speakers_of(split), self.num_voices(split)
        if not 0 <= count <= most:
            raise InputError(f"the split {split!r} of flite has 0 to {most} voices", f"{count}", "ask for fewer")
        paces = {one: generator(seed, "flite", one).permutation(np.arange(*_PACES)) for one in speakers}
        turns = (divmod(number, len(speakers)) for number in range(count))
        return [FliteVoice(speakers[place], int(paces[speakers[place]][lap])) for lap, place in turns]


def _speakers_of(split: str) -> list[str]:
    if split not in ("seen", "unseen"):
        raise InputError("a split of voices is 'seen' or 'unseen'", repr(split), "choose one of the two")
    return [one for one in SPEAKERS if (one in _UNSEEN) == (split == "unseen")]


def flite_available() -> bool:
    """Whether libflite and its voices are on this machine."""
    try:
        _library()
    except MissingExtraError:
        return False
    return True


def _speak_sentence(sentence: Sentence, voice: FliteVoice) -> Spoken:
    text, _, owners = said_form(sentence)
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    try:
        encoded = plain.encode("ascii")
    except UnicodeEncodeError as error:
        letter = plain[error.start]
        raise InputError(
            "flite reads the English alphabet", f"{letter!r} in {text!r}", "write it in other letters"
        ) from error
    library = _library()
    speaker = _speaker(voice.speaker)
    with _ONE_AT_A_TIME:
        library.flite_feat_set_float(_features(speaker), b"duration_stretch", 100 / voice.pace)
        c_library().srand(1)  # its breath is drawn from there
        utterance = library.flite_synth_text(encoded, speaker)
    try:
        wave = library.utt_wave(utterance).contents
        samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32) / 32768
        rate = int(wave.sample_rate)
        # One token of flite for each word that it was given; it may read it as several words.
        said = [_phones(library, token) for token in _items(library, utterance, b"Token")]
    finally:
        library.delete_utterance(utterance)
    if len(said) != len(owners) or not all(said):
        raise InputError(
            "flite must give every word a time", f"{len(owners)} words in {text!r}", "write it in another way"
        )
    waveform = np.concatenate([resample(samples, rate, SAMPLE_RATE), np.zeros(num_samples(PAUSE_SECONDS), np.float32)])
    aligned = [AlignedWord(merge_vowels(phones), 0.0, 1) for phones in said]
    words, tiles, _ = arrange(sentence.tokens, owners, aligned, len(waveform) / SAMPLE_RATE)
    return Spoken(waveform, SAMPLE_RATE, words, tiles)


def _phones(library: Any, token: int) -> list[tuple[str, float, float]]:
    """Class, start and end in seconds of each phone of a token."""
    found: list[tuple[str, float, float]] = []
    word = library.item_daughter(token)
    while word:
        syllable = library.item_daughter(library.item_as(word, b"SylStructure"))
        while syllable:
            phone = library.item_daughter(syllable)
            while phone:
                segment = library.item_as(phone, b"Segment")
                before = library.item_prev(segment)
                start = library.item_feat_float(before, b"end") if before else 0.0
                name = library.item_feat_string(segment, b"name").decode()
                if name != _PAUSE:
                    phone_class = _CLASSES.get(name, name.upper())
                    if phone_class not in PHONES:
                        raise InputError("every phone of flite must have a class", repr(name), "report it")
                    found.append((phone_class, start, library.item_feat_float(segment, b"end")))
                phone = library.item_next(phone)
            syllable = library.item_next(syllable)
        word = library.item_next(word)
    return found


def _items(library: Any, utterance: int, relation: bytes) -> Iterator[int]:
    item = library.relation_head(library.utt_relation(utterance, relation))
    while item:
        yield item
        item = library.item_next(item)


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _VoiceHead(ctypes.Structure):
    """How a ``cst_voice`` begins."""

    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


# What is used of flite.h: name -> result, arguments.
_ITEM = ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "flite_init": (ctypes.c_int,),
    "flite_synth_text": (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
    "flite_feat_set_float": (None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float),
    "utt_wave": (ctypes.POINTER(_Wave), ctypes.c_void_p),
    "utt_relation": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p),
    "relation_head": (_ITEM, ctypes.c_void_p),
    "item_next": (_ITEM, _ITEM),
    "item_prev": (_ITEM, _ITEM),
    "item_daughter": (_ITEM, _ITEM),
    "item_as": (_ITEM, _ITEM, ctypes.c_char_p),
    "item_feat_string": (ctypes.c_char_p, _ITEM, ctypes.c_char_p),
    "item_feat_float": (ctypes.c_float, _ITEM, ctypes.c_char_p),
    "delete_utterance": (None, ctypes.c_void_p),
}


@cache
def _library() -> ctypes.CDLL:
    library = _open("flite")
    for part in ("cmulex", "usenglish"):  # the voices find them among what is loaded
        _open(f"flite_{part}")
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


def _open(name: str) -> ctypes.CDLL:
    path = ctypes.util.find_library(name)
    try:
        if path:
            return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        found = f"no lib{name}"
    except OSError as error:
        found = str(error)
    raise MissingExtraError("this synthesizer needs the system library flite", found, "apt install flite")


@cache
def _speaker(name: str) -> int:
    register = getattr(_open(f"flite_cmu_us_{name}"), f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.c_void_p, (ctypes.c_char_p,)
    return register(None)


def _features(speaker: int) -> int:
    return ctypes.cast(speaker, ctypes.POINTER(_VoiceHead)).contents.features
