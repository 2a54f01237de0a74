"""What speaks: a vocoder of deduplicated units, or the codec that frames came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.inference.part_files import check_says_frames
from smoltolk.model.ids import IdSpace
from smoltolk.speech.audio import SAMPLE_RATE, resample
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.tokenizer import UnitTokenizer
from smoltolk.speech.vocoders.streaming import Speaking
from smoltolk.speech.vocoders.vocoder import Reach, Vocoder

_SILENCE_SECONDS = 0.2
_CODEC_SECONDS = 2.0  # that a stream of frames decodes again
# Of slow speech with pauses, so that whoever says a text is not cut off before its end.
_LETTERS_PER_SECOND, _PAUSE_SECONDS = 8, 2


class Speaker(Protocol):
    """What is needed of a vocoder.

    Attributes:
        sample_rate: of its sound, Hz.
        frame_rate: of its units before deduplication, or of its frames, Hz.
    """

    sample_rate: int
    frame_rate: float

    def synthesize_batch(
        self, units: Sequence[np.ndarray], durations: Sequence[np.ndarray] | None = None, seed: int = 0
    ) -> list[np.ndarray]:
        """Units [n] each, of several codebooks frames [n, Q] -> waveforms [samples] each."""


class CodecSpeaker:
    """Says frames by the codec that they came from.

    Args:
        codec: of several codebooks.

    Raises:
        InputError: one codebook, see :func:`~smoltolk.inference.part_files.check_says_frames`.
    """

    def __init__(self, codec: CodecUnitTokenizer):
        check_says_frames(codec.num_codebooks, "a codec")
        self.codec = codec
        self.sample_rate, self.frame_rate = codec.sound_rate, codec.frame_rate

    def synthesize_batch(
        self, units: Sequence[np.ndarray], durations: Sequence[np.ndarray] | None = None, seed: int = 0
    ) -> list[np.ndarray]:
        """Frames [n, Q] each -> waveforms [samples] each, in [-1, 1]; all frames last alike, and nothing is random."""
        return [np.clip(self.codec.decode(frames), -1, 1) for frames in units]

    @property
    def reach(self) -> Reach:
        """Frames that are decoded again with those behind them; a codec that attends to all of them hears few."""
        return Reach(0, math.ceil(_CODEC_SECONDS * self.frame_rate))

    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        """All frames [n, Q] last alike: ones, int64 [n]."""
        return np.ones(len(units), np.int64)

    def resume(
        self,
        units: np.ndarray,
        durations: np.ndarray,
        said: np.ndarray,
        seed: int = 0,
        *,
        speaker: str | int | None = None,
        frames: int | None = None,
    ) -> np.ndarray:
        """Frames [n, Q] of which the first have been said -> samples of all."""
        return speak(units, self, voice=speaker)


def speaker_of(vocoder: Speaker | UnitTokenizer | None, units: UnitTokenizer | None = None) -> Speaker | None:
    """What speaks: the vocoder; a codec of several codebooks, as a vocoder or as the units; or nothing.

    Raises:
        InputError: as a vocoder, a codec of one codebook or other units.
    """
    if vocoder is None:
        if isinstance(units, CodecUnitTokenizer) and units.num_codebooks > 1:
            return CodecSpeaker(units)
        return None
    if isinstance(vocoder, CodecUnitTokenizer):
        return CodecSpeaker(vocoder)
    if isinstance(vocoder, UnitTokenizer):
        raise InputError(
            "sound is made by a vocoder or a codec", type(vocoder).__name__, "fit a vocoder for these units"
        )
    return vocoder


def check_speaker(space: IdSpace, speaker: Speaker) -> None:
    """Refuse a vocoder that cannot say what a model makes.

    Raises:
        InputError: deduplicated units for a codec, or frames for a vocoder.
    """
    if (space.num_codebooks > 1) != isinstance(speaker, CodecSpeaker):
        raise InputError(
            "frames of several codebooks are spoken by their codec, deduplicated units by a vocoder",
            f"a model of {space.num_codebooks} codebook(s) and a {type(speaker).__name__}",
            "name the codec that the model was trained with, or the vocoder of its units",
        )


def most_units(text: str, space: IdSpace, frame_rate: float) -> int:
    """Units, or frames, that saying a text takes at most: deduplicated ones two a letter, and 32."""
    if space.num_codebooks == 1:
        return 2 * len(text) + 32
    return int(frame_rate * (len(text) / _LETTERS_PER_SECOND + _PAUSE_SECONDS)) + 1


def voices_of(speaker: Speaker | None) -> tuple[str, ...]:
    """Names of the voices of what speaks; empty where they have none, as those of a codec."""
    return speaker.speakers if isinstance(speaker, Vocoder) else ()


def check_voice(speaker: Speaker, voice: str | int | None) -> None:
    """Refuse a voice that is none of a speaker's.

    Args:
        speaker: a vocoder, or a codec, which has but one.
        voice: its name or number; None: the first.

    Raises:
        InputError: no such voice.
    """
    if isinstance(speaker, Vocoder):
        speaker.speaker_index(voice)
    elif voice not in (None, 0):
        raise InputError(
            "a speaker must be one of the vocoder's voices",
            f"{voice!r}; what speaks here has but one",
            "leave the speaker out (no --speaker)",
        )


def in_chunks(speaker: Speaker) -> Speaking:
    """What speaks, if it can speak while units are still being made.

    Raises:
        InputError: neither a vocoder nor a codec.
    """
    if isinstance(speaker, Vocoder | CodecSpeaker):
        return speaker
    raise InputError(
        "a stream is spoken by a vocoder or a codec", type(speaker).__name__, "derive it from smoltolk.Vocoder"
    )


def durations_of(units: np.ndarray, speaker: Speaker) -> np.ndarray:
    """Frames of each unit, int64 ``[n]``, as it would say them.

    Raises:
        InputError: a vocoder that predicts no durations.
    """
    return speaker.predict_durations(units) if isinstance(speaker, Vocoder) else np.ones(len(units), np.int64)


def speak(
    units: np.ndarray,
    speaker: Speaker,
    *,
    seed: int = 0,
    voice: str | int | None = None,
    durations: np.ndarray | None = None,
) -> np.ndarray:
    """One waveform, float32 ``[samples]`` at its own rate.

    Args:
        units: int ``[n]``, at least one; of several codebooks frames ``[n, Q]``.
        speaker: what says them.
        seed: of a vocoder with something random in it.
        voice: name or number of one of its voices; default: its first.
        durations: frames of each unit; default: its own.

    Raises:
        InputError: no such voice.
    """
    if isinstance(speaker, Vocoder):
        return speaker.synthesize(units, durations, seed, speaker=voice)
    check_voice(speaker, voice)
    (waveform,) = speaker.synthesize_batch([units], seed=seed)
    return waveform


def speak_units(units: Sequence[np.ndarray], speaker: Speaker, *, seed: int = 0) -> list[np.ndarray]:
    """Waveforms at 16 kHz; no units at all become a short silence."""
    voiced = [index for index, one in enumerate(units) if len(one)]
    waveforms = speaker.synthesize_batch([units[i] for i in voiced], seed=seed) if voiced else []
    spoken = dict(zip(voiced, waveforms, strict=True))
    silence = np.zeros(int(_SILENCE_SECONDS * SAMPLE_RATE), np.float32)
    return [
        resample(spoken[index], speaker.sample_rate, SAMPLE_RATE) if index in spoken else silence
        for index in range(len(units))
    ]
