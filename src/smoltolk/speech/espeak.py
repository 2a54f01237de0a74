"""espeak-ng through ctypes: one sentence in, samples and events out.

The library keeps its state in global variables: its oscillators go on from one utterance to the next, so the
same sentence gives other samples the second time. And it seeds the noise of breathy voices with the clock.
Here it is loaded and unloaded for every sentence (about 6 ms) and its noise is seeded anew, which makes
samples a function of text and voice in any process and any order. Parallel work needs processes, not threads.
"""

from __future__ import annotations

import _ctypes
import ctypes
import sys
import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError, MissingExtraError, require

WORD, PHONEME = 1, 7  # types of events, from speak_lib.h
_END_OF_LIST = 0
_SYNCHRONOUS, _PHONEME_EVENTS, _DO_NOT_EXIT = 2, 1, 0x8000
_RATE, _PITCH = 1, 3
_UTF8 = 1
_LONGEST_PATH = 150  # the library's buffers hold 160 characters
_ONE_AT_A_TIME = threading.Lock()


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that begins in the waveform.

    Args:
        type: :data:`WORD` or :data:`PHONEME`.
        position: characters before it in the text.
        sample: where it begins in the samples.
        name: the phoneme's mnemonic; empty for a word.
    """

    type: int
    position: int
    sample: int
    name: str


def variants() -> tuple[str, ...]:
    """Names of the voice variants that the installed espeak-ng has.

    Raises:
        MissingExtraError: the extra ``tts`` is not installed.
    """
    return tuple(sorted(path.name for path in (Path(_data_path()) / "voices" / "!v").iterdir()))


def say(text: str, voice: str, rate: int, pitch: int) -> tuple[np.ndarray, int, list[Event]]:
    """Synthesize one sentence.

    Args:
        text: any text; numbers and pairs of words are the caller's care.
        voice: ``accent+variant``, e.g. ``"en-us+f3"``.
        rate: words per minute, 80 to 450.
        pitch: 0 to 100.

    Returns:
        ``(samples, sample_rate, events)``: int16 [samples], and words and phonemes in order of time.

    Raises:
        MissingExtraError: the extra ``tts`` is not installed.
        InputError: a voice that espeak-ng does not have.
    """
    chunks: list[bytes] = []
    events: list[Event] = []

    def receive(samples: ctypes._Pointer, count: int, event: ctypes._Pointer) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))  # the library reuses its buffer: copy now
        index = 0
        while event[index].type != _END_OF_LIST:
            one = event[index]
            if one.type in (WORD, PHONEME):
                # Eight bytes, not always with a final zero: read as a C string, .id could run past them.
                raw = bytes(one)[_Event.id.offset : _Event.id.offset + 8].split(b"\0")[0]
                name = raw.decode("utf-8", "replace") if one.type == PHONEME else ""
                events.append(Event(one.type, one.text_position - 1, one.sample, name))
            index += 1
        return 0

    callback = _Callback(receive)  # held here for as long as the library may call it
    _check_variant(voice)
    with _ONE_AT_A_TIME:
        library = _load()
        try:
            sample_rate = library.espeak_Initialize(
                _SYNCHRONOUS, 0, _data_path().encode(), _PHONEME_EVENTS | _DO_NOT_EXIT
            )
            if sample_rate <= 0:
                raise InputError(
                    "espeak-ng must find its data",
                    f"it does not start with {_data_path()}",
                    "pip install --force-reinstall espeakng-loader",
                )
            library.espeak_SetSynthCallback(callback)
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            c_library().srand(1)  # older noise sources of the library draw from C's rand()
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise InputError("the accent must be one that espeak-ng has", repr(voice), "try en-us or en-gb")
            library.espeak_SetParameter(_RATE, rate, 0)
            library.espeak_SetParameter(_PITCH, pitch, 0)
            encoded = text.encode()
            library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _UTF8, None, None)
            library.espeak_Synchronize()
        finally:
            library.espeak_Terminate()
            _unload(library)
    return np.frombuffer(b"".join(chunks), dtype=np.int16), sample_rate, events


def _load() -> ctypes.CDLL:
    loader = require("espeakng_loader", "speech synthesis")
    try:
        return ctypes.CDLL(loader.get_library_path())
    except OSError as error:
        raise MissingExtraError(
            "speech synthesis needs espeak-ng's library",
            str(error),
            "pip install --force-reinstall espeakng-loader",
        ) from error


def _unload(library: ctypes.CDLL) -> None:
    if hasattr(_ctypes, "dlclose"):
        _ctypes.dlclose(library._handle)
    else:  # Windows
        _ctypes.FreeLibrary(library._handle)  # type: ignore[attr-defined]


@cache
def c_library() -> ctypes.CDLL:
    """The C library of this process, with the one ``rand()`` that all of it shares."""
    # None means the running program, and with it the C library that everything in this process shares.
    return ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)


@cache
def _short_links() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="espeak-")  # removed when the process ends


@cache
def _data_path() -> str:
    path = require("espeakng_loader", "speech synthesis").get_data_path()
    if len(path) <= _LONGEST_PATH:
        return path
    link = Path(_short_links().name) / "espeak-ng-data"
    link.symlink_to(path, target_is_directory=True)
    return str(link)


@cache
def _known_variants() -> frozenset[str]:
    return frozenset(variants())


def _check_variant(voice: str) -> None:
    # espeak returns 0 for a variant it does not have and speaks without it.
    _, plus, variant = voice.partition("+")
    if plus and variant not in _known_variants():
        raise InputError(
            "the variant must be one that espeak-ng has",
            repr(variant),
            "smoltolk.speech.espeak.variants() lists them",
        )
